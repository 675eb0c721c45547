"""What is to be sent to one socket: the newest message alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from serving.answer import Answer


@dataclass(frozen=True, slots=True)
class Push:
    """What a feed shows from now on.

    Attributes:
        answer: the list; None when no list can be made for the query.
        detail: why there is none.
    """

    answer: Answer | None
    detail: str = ""


class Mailbox:
    """Holds the newest push until the socket takes it: a slow client misses the ones between.

    Attributes:
        waits: whether the socket is to be sent something for the first time.
        item_ids: items of the newest list.
    """

    def __init__(self) -> None:
        self._push: Push | None = None
        self._error: Exception | None = None
        self._ready = asyncio.Event()
        self._closed = False
        self.waits = True
        self.item_ids: frozenset[str] = frozenset()

    def put(self, push: Push) -> None:
        """Replace what is to be sent."""
        items = push.answer.items if push.answer else []
        self.item_ids = frozenset(item.item_id for item in items)
        self._push = push
        self.waits = False
        self._ready.set()

    def close(self, error: Exception | None = None) -> None:
        """End it: there is nobody to send to, or nothing that could be sent.

        Args:
            error: raised to the one who takes; None when the client has left.
        """
        self._error = self._error or error
        self._closed = True
        self.waits = False
        self._ready.set()

    async def take(self) -> Push | None:
        """Wait for what is to be sent; None when the mailbox is closed.

        Raises:
            Exception: the one that it was closed with.
        """
        await self._ready.wait()
        if self._error is not None:
            raise self._error
        if self._closed:
            return None
        self._ready.clear()
        return self._push
