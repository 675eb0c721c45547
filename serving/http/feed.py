"""`WS /v1/feed`: a list that is pushed again whenever the user's state changed.

The client speaks once, a JSON object `FeedQuery`; then it only listens. Every message of the
server is a `FeedMessage`:

| type     | what it says |
|----------|--------------|
| snapshot | the first list |
| update   | a newer list: see below |
| empty    | no list can be made, and why (`detail`): the user rejected every item, for one |

An update comes when the user acted, when an item of the list was withdrawn, and when something that
was missing from the list is there again. After `empty` show nothing, and keep the socket: an update
comes as soon as there is something to show.

Updates are conflated: while one is being sent, any number of changes become one newer list. None is
dropped: a list that could not be made whole is made again (`serving.feeds`). Sockets with the same
query get the same list.

| close code | why |
|------------|-----|
| 1003 | the message was not text |
| 1008 | the first message is not a `FeedQuery`, or there was a second one, or none in time |
| 1009 | the message was too large |
| 1011 | a bug of ours |
| 1012 | this server is stopping |
| 1013 | this server has no catalogue yet, or the user has too many feeds open; try again later |
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import Meta, Struct

from freshet.core.errors import ServiceError
from freshet.core.events.schema import Identifier
from freshet.core.metrics import FEED_CONNECTIONS, FEED_PUSHES
from serving.answer import MAX_K, Answer, Query
from serving.feeds.hub import Feeds
from serving.feeds.mailbox import Mailbox
from serving.http.json_values import UNREADABLE
from serving.http.recommendations import answer
from serving.http.services import Services

MAX_MESSAGE_BYTES: Final = 16_384
FIRST_MESSAGE_S: Final = 10.0

log = logging.getLogger(__name__)

_ENCODER = msgspec.json.Encoder()
AnySocket = WebSocket[Any, Any, Any]
MessageType = Literal["snapshot", "update", "empty"]


class FeedQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a feed shows. The client reports impressions: a pushed list may never be seen."""

    user: Identifier
    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 20
    exclude: Annotated[list[Identifier], Meta(max_length=1000)] = []
    categories: Annotated[list[str], Meta(max_length=32)] = []


class FeedMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server sends.

    Attributes:
        seq: counts the messages of a socket from 0.
        answer: the list; not in an `empty` message.
        detail: why there is no list, in an `empty` message.
    """

    type: MessageType
    seq: int
    answer: Answer | None = None
    detail: str = ""


class _RefusedError(Exception):
    """The socket is to be closed with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        # A close frame has room for 123 bytes.
        self.reason = reason.encode("utf-8", "replace")[:120].decode("utf-8", "ignore")


def routes(services: Services) -> list[Any]:
    """Return the routes."""
    open_feeds: Counter[str] = Counter()  # sockets by user
    feeds = Feeds(
        services.state, lambda query, user: answer(services, query, user=user), services.turns
    )

    @websocket("/v1/feed")
    async def feed(socket: AnySocket) -> None:
        await socket.accept()
        with FEED_CONNECTIONS.track_inprogress():
            try:
                asked = await _first_message(socket)
                with _counted(open_feeds, asked.user, services.state.settings.feeds_per_user):
                    await _serve(feeds, socket, asked)
            except _RefusedError as refused:
                with suppress(OSError):  # the client left first
                    await socket.close(refused.code, refused.reason)
            except WebSocketDisconnect as gone:
                log.debug("a feed's client left: %s", gone)
            except Exception:
                log.exception("a socket is closed by a bug")
                with suppress(OSError):
                    await socket.close(1011, "a bug of this server")

    return [feed]


@contextmanager
def _counted(open_feeds: Counter[str], user: str, most: int) -> Iterator[None]:
    """Count a socket of a user as long as the context lasts.

    Raises:
        _RefusedError: the user has enough of them.
    """
    if open_feeds[user] >= most:
        detail = f"the user has {most} feeds open, as many as may be; close one"
        raise _RefusedError(1013, detail)
    open_feeds[user] += 1
    try:
        yield
    finally:
        open_feeds[user] -= 1
        if not open_feeds[user]:
            del open_feeds[user]


async def _first_message(socket: AnySocket) -> FeedQuery:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            raw = await socket.receive_data(mode="text")
    except TimeoutError as error:
        raise _RefusedError(1008, f"no message within {FIRST_MESSAGE_S:g} s") from error
    except (KeyError, TypeError) as error:
        raise _RefusedError(1003, "expected a text message") from error
    if len(raw) > MAX_MESSAGE_BYTES:
        raise _RefusedError(1009, f"{len(raw)} characters, expected at most {MAX_MESSAGE_BYTES}")
    try:
        return msgspec.json.decode(raw, type=FeedQuery)
    except UNREADABLE as error:
        raise _RefusedError(1008, str(error)) from error


async def _serve(feeds: Feeds, socket: AnySocket, asked: FeedQuery) -> None:
    """Push lists until the client leaves; the one task that writes to the socket is this one."""
    query = Query(**msgspec.structs.asdict(asked), impressions="client")
    with feeds.open(query) as mailbox:
        listener = asyncio.create_task(_until_left(socket))
        listener.add_done_callback(lambda _: mailbox.close())
        try:
            await _send_all(socket, mailbox)
            listener.result()
        except ServiceError as error:
            raise _RefusedError(1013, str(error)) from error
        finally:
            listener.cancel()
            listener.add_done_callback(_forget)


async def _send_all(socket: AnySocket, mailbox: Mailbox) -> None:
    seq = 0
    while (push := await mailbox.take()) is not None:
        kind: MessageType = "update" if seq else "snapshot"
        if push.answer is None:
            kind = "empty"
        message = FeedMessage(type=kind, seq=seq, answer=push.answer, detail=push.detail)
        try:
            await socket.send_text(_ENCODER.encode(message).decode())
        except OSError as error:  # that is how the server reports a client that left
            raise WebSocketDisconnect(detail=f"while a list was sent: {error}") from error
        FEED_PUSHES.labels(kind).inc()
        seq += 1


async def _until_left(socket: AnySocket) -> None:
    """Wait for the client to leave; anything it says is against the protocol."""
    await socket.receive_data(mode="text")
    raise _RefusedError(1008, "a feed takes one message; open another socket for another user")


def _forget(listener: asyncio.Task[None]) -> None:
    """Look at how a listener ended that nobody waits for: asyncio complains when no one does."""
    if not listener.cancelled():
        listener.exception()
