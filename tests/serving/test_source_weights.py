"""Learning what the sources are worth: from visits after a request, and from nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.metrics import FALLBACK_BLEND, SOURCE_HIT_RATE
from freshet.core.state.records import HISTORY_LENGTH
from online_models.maths.source_blend import PLACES
from serving import source_weights
from serving.answer import Query
from serving.fallback_blend import FIXED, LISTS, OPTIONS
from serving.moment import State, hydrate
from serving.pipeline import funnel
from serving.source_weights import BURST, VISIT_WITHIN_S, SourceWeights

from .conftest import NOW_MS

POPULAR, NEW = (len(OPTIONS) + LISTS.index(name) for name in ("popular", "new"))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    """Stands still."""
    return Clock()


@pytest.fixture
def weights(clock: Clock) -> SourceWeights:
    """Has seen nothing."""
    return SourceWeights(clock)


async def ask(weights: SourceWeights, state: State, user_id: str, **query: Any) -> list[str]:
    """Return the candidates of a request, best first by the fixed weights."""
    asked = Query(user=user_id, **query)
    moment = await hydrate(state, user_id, None)
    union = funnel(moment, asked).ranked.union
    weights.note(moment, union, asked)
    return [state.items.table.ids[row] for row in union.rows.tolist()]


def see(weights: SourceWeights, users: Any, *user_ids: str) -> None:
    """Show the records of users as they are now."""
    weights.settle(user_ids, np.array([users.records[user_id] for user_id in user_ids]))


async def test_a_visit_tells_where_each_option_had_the_item(
    state: State, users: Any, weights: SourceWeights
) -> None:
    """Item 4 is the fifth by popularity; no list of new items holds it."""
    await ask(weights, state, "ann")
    users.act("ann", "item-4")
    see(weights, users, "ann")
    assert weights.visits == 1
    assert weights.evidence.hits[POPULAR] == 1
    assert weights.evidence.worth[POPULAR] == pytest.approx((1 + 1 / np.log2(4 + 2)) / 2)
    assert weights.evidence.hits[NEW] == 0


async def test_a_visit_is_learned_once(state: State, users: Any, weights: SourceWeights) -> None:
    """However often the record is read, and whatever comes after it."""
    await ask(weights, state, "ann")
    users.act("ann", "item-4")
    for _ in range(3):
        see(weights, users, "ann")
    users.act("ann", "item-5")
    see(weights, users, "ann")
    assert weights.visits == 1


async def test_a_visit_that_no_list_held_counts_as_a_miss_of_all(
    state: State, users: Any, weights: SourceWeights
) -> None:
    """An item far down, and one that was never heard of."""
    for user_id, item_id in (("ann", "item-70"), ("bob", "never heard of")):
        await ask(weights, state, user_id)
        users.act(user_id, item_id)
        see(weights, users, user_id)
    assert weights.visits == 2
    assert weights.evidence.hits[POPULAR] == 0


async def test_a_list_that_is_empty_holds_nothing(
    state: State, users: Any, weights: SourceWeights
) -> None:
    """Without a model `session` finds nothing, also where the last of all candidates is visited."""
    state.live.current = None
    users.act("ann", (await ask(weights, state, "ann"))[-1])
    see(weights, users, "ann")
    assert weights.visits == 1
    assert weights.evidence.hits[len(OPTIONS) + LISTS.index("session")] == 0


@pytest.mark.parametrize(
    ("kind", "item_id"),
    [("impression", "item-4"), ("hide", "item-4"), ("dislike", "item-4"), ("click", "item-9")],
)
async def test_what_is_no_new_visit_is_waited_out(
    state: State, users: Any, weights: SourceWeights, kind: str, item_id: str
) -> None:
    """An impression, a rejection, a visit to what was known; the next new visit counts."""
    users.act("ann", "item-9")
    await ask(weights, state, "ann")
    users.act("ann", item_id, kind=kind)
    see(weights, users, "ann")
    assert weights.visits == 0
    users.act("ann", "item-5")
    see(weights, users, "ann")
    assert weights.visits == 1
    assert weights.evidence.hits[POPULAR] == 1


async def test_the_first_of_several_visits_counts(
    state: State, users: Any, weights: SourceWeights
) -> None:
    """The others were made with other lists before the eyes."""
    await ask(weights, state, "ann")
    users.act("ann", "item-70")
    users.act("ann", "item-0")
    see(weights, users, "ann")
    assert (weights.visits, weights.evidence.hits[POPULAR]) == (1, 0)


async def test_a_request_knows_what_happened_since_the_one_before(
    state: State, users: Any, weights: SourceWeights
) -> None:
    """A feed asks again at once: its own record settles the request before, nobody else need."""
    await ask(weights, state, "ann")
    users.act("ann", "item-4")
    await ask(weights, state, "ann")
    assert weights.visits == 1
    users.act("ann", "item-6")
    await ask(weights, state, "ann")
    assert weights.visits == 2


async def test_a_visit_too_late_says_nothing(
    state: State, users: Any, weights: SourceWeights
) -> None:
    """A day after the request, or behind more events than a record holds."""
    await ask(weights, state, "ann")
    users.act("ann", "item-4", ts_ms=NOW_MS + 1000 * VISIT_WITHIN_S + 2000)
    see(weights, users, "ann")
    await ask(weights, state, "bob")
    for number in range(HISTORY_LENGTH):
        users.act("bob", f"item-{number}")
    see(weights, users, "bob")
    assert weights.visits == 0


async def test_a_record_older_than_the_request_changes_nothing(
    state: State, users: Any, weights: SourceWeights
) -> None:
    """It was read before, and is seen after."""
    users.act("ann", "item-1")
    old = users.records["ann"].copy()
    users.act("ann", "item-2")
    await ask(weights, state, "ann")
    weights.settle(["ann"], np.array([old]))
    users.act("ann", "item-3")
    see(weights, users, "ann")
    assert weights.visits == 1


async def test_requests_that_say_nothing_of_the_sources_are_passed_over(
    state: State, users: Any, weights: SourceWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those for some items, and those where something failed."""
    await ask(weights, state, "ann", exclude=["item-0"])
    await ask(weights, state, "bob", categories=["garden"])
    monkeypatch.setattr("serving.sources.gather.find_trending", lambda *_: 1 // 0)
    await ask(weights, state, "cid")
    for user_id in ("ann", "bob", "cid"):
        users.act(user_id, "item-4")
        see(weights, users, user_id)
    assert weights.visits == 0


async def test_the_erased_are_forgotten(state: State, users: Any, weights: SourceWeights) -> None:
    """One of them, or everyone."""
    for user_id in ("ann", "bob", "cid"):
        await ask(weights, state, user_id)
        users.act(user_id, "item-4")
    weights.forget(["ann"])
    see(weights, users, "ann", "bob")
    assert weights.visits == 1
    weights.forget_all()
    see(weights, users, "cid")
    assert weights.visits == 1


async def test_no_more_requests_wait_than_there_is_room_or_time_for(
    state: State, users: Any, weights: SourceWeights, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many a second; of those that wait, the oldest make room."""
    names = [f"user-{number}" for number in range(BURST + 5)]
    for name in names:
        await ask(weights, state, name)
        users.act(name, "item-4")
    see(weights, users, *names)
    assert weights.visits == BURST
    monkeypatch.setattr(source_weights, "MAX_PENDING", 2)
    clock.now_ms += 1_000
    more = ["dan", "eve", "fay"]
    for name in more:
        await ask(weights, state, name)
        users.act(name, "item-4")
    see(weights, users, *more)
    assert weights.visits == BURST + 2


async def test_the_blend_follows_what_people_visit(
    state: State, users: Any, weights: SourceWeights, clock: Clock
) -> None:
    """All visit what leads by the hour and is popular nowhere: that order is learned."""
    table = state.items.table
    table.rates[: table.size, 1] = np.arange(table.size) / 1000 + 0.001
    for number in range(300):
        clock.now_ms += 200
        await ask(weights, state, f"user-{number}")
        users.act(f"user-{number}", f"item-{79 - number % 5}")
        see(weights, users, f"user-{number}")
        if number == 40:
            assert weights.blend is FIXED  # too early
    rates = dict(zip([*OPTIONS, *LISTS], weights.evidence.hit_rates, strict=True))
    assert rates["rate_3600s"] == pytest.approx(1)
    assert rates["popular"] == 0
    assert weights.evidence.hit_rates[OPTIONS.index(weights.blend.name)] > 0.9
    assert weights.blend.weights.tolist() == weights.weights[weights._option].tolist()


async def test_the_same_stream_gives_the_same_blend(state: State, users: Any) -> None:
    """To the bit: nothing of it is drawn, and no other clock is looked at."""
    streams = []
    for run in ("a", "b"):
        clock = Clock()
        weights = SourceWeights(clock)
        for number in range(30):
            clock.now_ms += 37
            await ask(weights, state, f"{run}-{number}")
            users.act(f"{run}-{number}", f"item-{number * 7 % 40}")
            see(weights, users, f"{run}-{number}")
        streams.append(weights)
    one, other = streams
    assert one.visits == other.visits >= 20
    assert (one.evidence.worth == other.evidence.worth).all()
    assert (one.weights == other.weights).all()


def test_a_pending_request_is_small(weights: SourceWeights) -> None:
    """Hashes and flags of each option's list: 5 bytes a place."""
    assert 5 * PLACES * (len(OPTIONS) + len(LISTS)) < 4_500


async def test_what_is_learned_is_published(
    state: State, users: Any, weights: SourceWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate of every option, and which blend is in use."""
    await ask(weights, state, "ann")
    users.act("ann", "item-4")
    see(weights, users, "ann")

    async def stop(_: float) -> None:
        raise InterruptedError

    monkeypatch.setattr("serving.source_weights.asyncio.sleep", stop)
    with pytest.raises(InterruptedError):
        await weights.run()
    assert SOURCE_HIT_RATE.labels("popular")._value.get() == 1
    assert SOURCE_HIT_RATE.labels("new")._value.get() == 0
    assert FALLBACK_BLEND.labels("fixed")._value.get() == 1
    assert FALLBACK_BLEND.labels("learned1")._value.get() == 0
