"""All feeds of this process: woken by changes, looked at in turn, tried again until they are whole.

Law: a change is never dropped. A feed that is woken is looked at after that, once for any number of
changes; a look that fails, or a list from which something was missing, is made again, later and
later, as long as a socket is there. Feeds with the same query are one. So many are looked at at a
time that a thousand that are woken at once do not make each other late, in the order of waking.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from freshet.core.errors import RequestError, ServiceError
from freshet.core.metrics import FEED_RETRIES, FEEDS_WAITING
from serving.answer import Query
from serving.assembly import Served
from serving.feeds.mailbox import Mailbox, Push
from serving.feeds.shared_feed import Reason, SharedFeed, missing_of
from serving.feeds.turns import Turns
from serving.moment import State
from serving.user_state import UserState

MAX_LOOKS: Final = 16  # feeds that are looked at at a time: their users are read together

log = logging.getLogger(__name__)

Compute = Callable[[Query, UserState | None], Awaitable[Served]]


class Feeds:
    """The feeds that are open.

    Args:
        state: tells of changes, and where users are read.
        compute: makes a list for a query and a user as just read; None where that failed.
        turns: shared with the requests.
    """

    def __init__(self, state: State, compute: Compute, turns: Turns) -> None:
        self._state = state
        self._compute = compute
        self._turns = turns
        self._feeds: dict[bytes, SharedFeed] = {}
        self._queue: dict[SharedFeed, None] = {}  # in the order of waking
        self._looks: set[asyncio.Task[None]] = set()
        state.items.watch(self._catalogue_changed)

    @contextmanager
    def open(self, query: Query) -> Iterator[Mailbox]:
        """Give a mailbox into which lists are put; the first one soon."""
        key = msgspec.json.encode(query)
        feed = self._feeds.get(key) or self._feeds.setdefault(key, SharedFeed(query))
        mailbox = Mailbox()
        feed.mailboxes.add(mailbox)
        with self._state.notices.watch(query.user, lambda: self._wake(feed)):
            self._wake(feed)
            try:
                yield mailbox
            finally:
                feed.mailboxes.discard(mailbox)
                if not feed.mailboxes:
                    self._forget(key, feed)

    # --- waking ---

    def _wake(self, feed: SharedFeed) -> None:
        if feed.retry is not None:
            feed.retry.cancel()
            feed.retry = None
        if feed.busy:
            feed.again = True
            return
        self._queue[feed] = None
        FEEDS_WAITING.set(len(self._queue))
        if len(self._looks) < MAX_LOOKS:
            look = asyncio.create_task(self._look_at_all())
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    def _catalogue_changed(self, withdrawn: Collection[str]) -> None:
        """Wake the feeds that show what was withdrawn, and those that had nothing to show."""
        gone = set(withdrawn)
        for feed in self._feeds.values():
            if feed.empty or (gone and feed.shows_any_of(gone)):
                feed.stale = True
                self._wake(feed)

    def _try_again(self, feed: SharedFeed) -> None:
        FEED_RETRIES.inc()
        delay_s = feed.retry_after_s()
        feed.tries += 1
        feed.retry = asyncio.get_running_loop().call_later(delay_s, self._wake, feed)

    def _forget(self, key: bytes, feed: SharedFeed) -> None:
        if feed.retry is not None:
            feed.retry.cancel()
        self._queue.pop(feed, None)
        self._feeds.pop(key, None)

    # --- looking ---

    async def _look_at_all(self) -> None:
        while self._queue:
            feed = next(iter(self._queue))
            del self._queue[feed]
            FEEDS_WAITING.set(len(self._queue))
            feed.busy, feed.again = True, False
            try:
                await self._look_at(feed)
            except Exception as error:
                log.exception("a feed ends by a bug")
                feed.close(error)
            finally:
                feed.busy = False
            self._look_again(feed)

    def _look_again(self, feed: SharedFeed) -> None:
        if feed.is_settled:
            feed.tries = 0
        if not feed.mailboxes:
            return  # the last socket left meanwhile
        if feed.again:
            self._wake(feed)
        elif not feed.is_settled:
            self._try_again(feed)

    async def _look_at(self, feed: SharedFeed) -> None:
        """Make the list of a feed, unless its sockets hold what they can."""
        user = await self._read(feed.query.user)
        feed.unread, items = user is None, self._state.items
        reason = feed.reason(user, items_followed=items.following and items.complete)
        if reason is None:
            return
        async with self._turns.push():
            if feed.mailboxes:
                await self._make(feed, reason, user)

    async def _read(self, user_id: str) -> UserState | None:
        try:
            return await self._state.users.get(user_id)
        except ServiceError:
            return None

    async def _make(self, feed: SharedFeed, reason: Reason, user: UserState | None) -> None:
        feed.stale = False  # before the list is made: what changes meanwhile is another change
        try:
            served = await self._compute(feed.query, user)
        except RequestError as error:
            feed.show_nothing(str(error))
        except ServiceError as error:
            feed.close_newcomers(error)  # another server may have a catalogue
            feed.show_nothing(str(error))
        else:
            moment = served.moment
            feed.show(Push(served.answer), reason, moment.user, missing_of(moment.stages))
