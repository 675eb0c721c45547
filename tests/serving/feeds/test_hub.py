"""The feeds of a process: no change is dropped, and what was not whole is made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from freshet.core.errors import ServiceError
from serving.answer import Answer, Query
from serving.feeds import hub, shared_feed
from serving.feeds.hub import Feeds
from serving.feeds.mailbox import Mailbox
from serving.http.recommendations import answer
from tests.serving.conftest import until

ANN = Query(user="ann", k=5, impressions="client")


class Computed:
    """Makes lists as the server does, and counts them."""

    def __init__(self, services: Any) -> None:
        self.services = services
        self.users: list[str] = []
        self.at_once = self.most_at_once = 0
        self.broken: set[str] = set()

    async def __call__(self, query: Query, user: Any) -> Any:
        """Return a list."""
        self.users.append(query.user)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if query.user in self.broken:
                raise RuntimeError("a bug")
            return await answer(self.services, query, user=user)
        finally:
            self.at_once -= 1


class Timers:
    """The loop's timers, fired by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.delays: list[float] = []
        self._waiting: list[tuple[asyncio.Handle, Any, Any]] = []
        self._call_later = loop.call_later
        monkeypatch.setattr(loop, "call_later", self)

    def __call__(self, delay: float, callback: Any, *args: Any, **options: Any) -> Any:
        """Keep the timers of feeds; the others are the loop's."""
        if getattr(callback, "__name__", "") != "_wake":
            return self._call_later(delay, callback, *args, **options)
        handle = self._call_later(1e6, lambda: None)
        self.delays.append(delay)
        self._waiting.append((handle, callback, args))
        return handle

    def fire(self) -> int:
        """Fire those that were not cancelled, and return how many they were."""
        due = [timer for timer in self._waiting if not timer[0].cancelled()]
        self._waiting = []
        for _, callback, args in due:
            callback(*args)
        return len(due)


@pytest.fixture
def compute(services: Any) -> Computed:
    return Computed(services)


@pytest.fixture
def feeds(services: Any, compute: Computed) -> Feeds:
    return Feeds(services.state, compute, services.turns)


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Timers]:
    timers = Timers(asyncio.get_running_loop(), monkeypatch)
    yield timers
    timers._waiting.clear()


async def taken(mailbox: Mailbox) -> Answer:
    """Return the next list of a mailbox."""
    push = await asyncio.wait_for(mailbox.take(), 20)
    assert push is not None
    assert push.answer is not None, push.detail
    return push.answer


async def quiet(feeds: Feeds) -> None:
    """Wait until nobody is looked at any more."""
    await until(lambda: not feeds._queue and not feeds._looks)


def applied(found: Answer) -> int:
    """Return how many events of the user a list rests on."""
    return found.as_of.applied if found.as_of else 0


async def test_sockets_that_ask_for_the_same_share_a_list(
    feeds: Feeds, compute: Computed, users: Any, state: Any
) -> None:
    """One computation for two tabs; other queries of the user have their own."""
    other = Query(user="ann", k=3, impressions="client")
    with feeds.open(ANN) as one, feeds.open(ANN) as two, feeds.open(other) as three:
        first = await taken(one)
        assert (await taken(two)) is first
        assert len((await taken(three)).items) == 3
        users.act("ann", "item-3")
        state.notices.notify(["ann"])
        update = await taken(one)
        assert (await taken(two)) is update
        assert applied(update) == applied(await taken(three)) == 1
    assert compute.users == ["ann"] * 4
    assert not feeds._feeds
    assert not state.notices._waiting


async def test_who_comes_later_changes_nothing_for_the_others(feeds: Feeds) -> None:
    """It gets a list of its own at once."""
    with feeds.open(ANN) as one:
        await taken(one)
        with feeds.open(ANN) as two:
            await taken(two)
            await quiet(feeds)
            assert not one._ready.is_set()


async def test_impressions_make_no_list(
    feeds: Feeds, compute: Computed, users: Any, state: Any
) -> None:
    """Nor does a notice without any change."""
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        users.act("ann", "item-1", kind="impression")
        state.notices.notify(["ann"])
        await quiet(feeds)
        assert compute.users == ["ann"]


async def test_a_change_that_cannot_be_read_is_pushed_when_it_can(
    feeds: Feeds, users: Any, state: Any, timers: Timers
) -> None:
    """The sockets keep their list, and nothing is asked for in vain meanwhile."""
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        users.act("ann", "item-3")
        users.down = True
        state.notices.notify(["ann"])
        await quiet(feeds)
        assert not mailbox._ready.is_set()
        assert timers.fire() == 1
        await quiet(feeds)
        assert not mailbox._ready.is_set()
        users.down = False
        assert timers.fire() == 1
        update = await taken(mailbox)
        assert (applied(update), update.degraded) == (1, [])
        await quiet(feeds)
        assert timers.fire() == 0
        assert timers.delays == [0.1, 0.2]


async def test_a_state_that_stays_away_is_admitted_once_and_read_again_for_ever(
    feeds: Feeds, compute: Computed, users: Any, state: Any, timers: Timers
) -> None:
    """After some tries a list says that it is degraded; reads go on, at most seconds apart."""
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        users.act("ann", "item-3")
        users.down = True
        state.notices.notify(["ann"])
        for _ in range(20):
            await quiet(feeds)
            timers.fire()
        await quiet(feeds)
        assert compute.users == ["ann", "ann"]
        assert (await taken(mailbox)).degraded == ["user_state"]
        assert max(timers.delays) == shared_feed.MAX_RETRY_S
        users.down = False
        assert timers.fire() == 1
        update = await taken(mailbox)
        assert (applied(update), update.degraded) == (1, [])


async def test_a_read_that_fails_without_any_change_makes_no_list(
    feeds: Feeds, compute: Computed, users: Any, state: Any, timers: Timers
) -> None:
    """As after a reconnection, when everybody is looked at."""
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        users.down = True
        state.notices.notify_all()
        await quiet(feeds)
        users.down = False
        timers.fire()
        await quiet(feeds)
        assert compute.users == ["ann"]
        assert timers.fire() == 0


async def test_a_first_list_is_sent_degraded_and_then_whole(
    feeds: Feeds, users: Any, timers: Timers
) -> None:
    """Something is better than nothing, and a degraded list is made again."""
    users.act("ann", "item-3")
    users.down = True
    with feeds.open(ANN) as mailbox:
        assert (await taken(mailbox)).degraded == ["user_state"]
        await quiet(feeds)
        users.down = False
        timers.fire()
        update = await taken(mailbox)
        assert (applied(update), update.degraded) == (1, [])


async def test_a_list_without_the_item_state_is_made_again_when_that_follows(
    feeds: Feeds, compute: Computed, item_state: Any, timers: Timers
) -> None:
    """Not before: a list costs more than a look."""
    item_state.following = False
    with feeds.open(ANN) as mailbox:
        assert (await taken(mailbox)).degraded == ["item_state"]
        await quiet(feeds)
        timers.fire()
        await quiet(feeds)
        assert compute.users == ["ann"]
        item_state.following = True
        timers.fire()
        assert (await taken(mailbox)).degraded == []


async def test_a_stage_that_fails_is_tried_again_and_pushed_when_it_is_better(
    feeds: Feeds, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same again is no news; a stage that never works is tried a minute apart."""
    with monkeypatch.context() as broken:
        broken.setattr("serving.ranking.mmr", lambda *_: 1 // 0)
        with feeds.open(ANN) as mailbox:
            assert (await taken(mailbox)).degraded == ["rerank"]
            for _ in range(15):
                await quiet(feeds)
                timers.fire()
            await quiet(feeds)
            assert not mailbox._ready.is_set()
            assert timers.delays[-1] == shared_feed.MAX_COMPUTED_RETRY_S
            broken.undo()
            timers.fire()
            assert (await taken(mailbox)).degraded == []


async def test_no_change_of_a_hundred_users_at_once_is_dropped(
    feeds: Feeds, compute: Computed, users: Any, state: Any
) -> None:
    """In the order of waking, and one list at a time."""
    names = [f"user-{number}" for number in range(100)]
    opened = [feeds.open(Query(user=name, k=1, impressions="client")) for name in names]
    boxes = [each.__enter__() for each in opened]
    for mailbox in boxes:
        await taken(mailbox)
    compute.users.clear()
    for name in names:
        users.act(name, "item-3")
    state.notices.notify(names)
    assert {applied(await taken(mailbox)) for mailbox in boxes} == {1}
    assert compute.users == names
    assert compute.most_at_once == 1
    for each in opened:
        each.__exit__(None, None, None)


async def test_a_change_during_a_look_is_looked_at_after_it(
    feeds: Feeds, users: Any, state: Any
) -> None:
    """The look may have read the state before it."""
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        get = users.get

        async def late(user_id: str) -> Any:
            user = await get(user_id)
            users.get = get
            users.act("ann", "item-4")
            state.notices.notify(["ann"])
            return user

        users.get = late
        users.act("ann", "item-3")
        state.notices.notify(["ann"])
        found = await taken(mailbox)
        while applied(found) < 2:
            found = await taken(mailbox)


async def test_an_erasure_is_a_change(feeds: Feeds, users: Any, state: Any) -> None:
    """Also of somebody who has done just as much since."""
    users.act("ann", "item-3")
    with feeds.open(ANN) as mailbox:
        assert applied(await taken(mailbox)) == 1
        del users.records["ann"]
        users.act("ann", "item-4")
        state.notices.notify(["ann"])
        found = await taken(mailbox)
        assert "item-3" in {item.item_id for item in found.items} or applied(found) == 1
        del users.records["ann"]
        state.notices.notify(["ann"])
        assert applied(await taken(mailbox)) == 0


async def test_a_withdrawn_item_leaves_the_lists_that_show_it(
    feeds: Feeds, compute: Computed, item_state: Any, table: Any
) -> None:
    """And no other list is made."""
    bob = Query(user="bob", k=5, exclude=["item-0"], impressions="client")
    with feeds.open(ANN) as one, feeds.open(bob) as other:
        shown = {item.item_id for item in (await taken(one)).items}
        kept = {item.item_id for item in (await taken(other)).items}
        gone = (shown - kept).pop()
        table.withdraw([gone])
        item_state.catalogue_changed([gone])
        assert gone not in {item.item_id for item in (await taken(one)).items}
        await quiet(feeds)
        assert compute.users.count("bob") == 1


async def test_who_rejected_everything_hears_of_it_once_and_of_what_comes(
    feeds: Feeds, users: Any, state: Any, item_state: Any, table: Any, items: Any, timers: Timers
) -> None:
    """The socket stays; what is offered later, or taken back, is pushed."""
    table.withdraw([f"item-{number}" for number in range(1, 80)])
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        users.act("ann", "item-0", kind="hide")
        state.notices.notify(["ann"])
        push = await asyncio.wait_for(mailbox.take(), 20)
        assert push is not None
        assert push.answer is None
        assert "rejected every item" in push.detail
        await quiet(feeds)
        timers.fire()
        await quiet(feeds)
        assert not mailbox._ready.is_set()
        with feeds.open(ANN) as newcomer:
            assert await asyncio.wait_for(newcomer.take(), 20) == push
        table.offer([items[7]])
        item_state.catalogue_changed([])
        assert [item.item_id for item in (await taken(mailbox)).items] == ["item-7"]


async def test_a_catalogue_that_empties_closes_newcomers_alone(
    feeds: Feeds, item_state: Any, table: Any
) -> None:
    """They may find another server; who has had lists is told, and waits."""
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        gone = table.offered_ids()
        table.withdraw(list(gone))
        item_state.catalogue_changed(gone)
        push = await asyncio.wait_for(mailbox.take(), 20)
        assert push is not None
        assert push.answer is None
        with feeds.open(ANN) as newcomer, pytest.raises(ServiceError):
            await asyncio.wait_for(newcomer.take(), 20)


async def test_a_bug_ends_the_feed_and_no_other(
    feeds: Feeds, compute: Computed, caplog: pytest.LogCaptureFixture
) -> None:
    """With its error, to the one who sends; a feed that is opened again is tried again."""
    compute.broken.add("ann")
    with feeds.open(ANN) as mailbox, pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(mailbox.take(), 20)
    assert "a bug" in caplog.text
    with feeds.open(Query(user="bob", impressions="client")) as other:
        await taken(other)
    compute.broken.clear()
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)


async def test_the_last_socket_takes_its_timer_along(
    feeds: Feeds, users: Any, state: Any, timers: Timers
) -> None:
    """Nothing is tried again for nobody."""
    with feeds.open(ANN) as mailbox:
        await taken(mailbox)
        users.down = True
        state.notices.notify(["ann"])
        await quiet(feeds)
    assert timers.fire() == 0
    assert not feeds._feeds
    assert hub.MAX_LOOKS > 1
