"""What a user rejected: in no list, and less of what is like it, through the whole funnel."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from serving import moment
from serving.answer import Answer, Query, RankQuery
from serving.moment import State
from serving.pipeline import rank_items, recommend
from serving.stages import Stages

REJECTS = ["hide", "dislike", "report"]


async def ask(state: State, query: Query, seed: int = 0) -> Answer:
    return (await recommend(state, query, "r1", np.random.default_rng(seed))).answer


def with_settings(state: State, **changes: Any) -> State:
    settings = msgspec.structs.replace(state.settings, **changes)
    return replace(state, settings=settings)


def ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]


def of_garden(answer: Answer) -> int:
    return sum("garden" in item.categories for item in answer.items)


@pytest.mark.parametrize("kind", REJECTS)
@pytest.mark.parametrize("with_model", [True, False])
@pytest.mark.parametrize("clicks", [0, 3])
@pytest.mark.parametrize("rejections", [6, 8])
async def test_rejections_bring_less_of_their_category(
    state: State, users: Any, kind: str, with_model: bool, clicks: int, rejections: int
) -> None:
    """For a newcomer, and for somebody with clicks elsewhere; explored slots and all."""
    if not with_model:
        state.live.current = None
    for number in range(clicks):
        users.act("ann", f"item-{5 * number + 1}")
    query = Query(user="ann", k=20)
    before = of_garden(await ask(state, query))
    assert before > 0
    for number in range(rejections):
        users.act("ann", f"item-{5 * number}", kind=kind)
    for seed in range(3):
        after = await ask(state, query, seed=seed)
        assert of_garden(after) == 0
        assert len(after.items) == 20
        assert not any("garden" in item.reason for item in after.items)


async def test_clicks_bring_more_of_their_category(state: State, users: Any) -> None:
    """The same events with another sign."""
    state.live.current = None
    fixed = with_settings(state, exploration_slots=0)
    query = Query(user="ann", k=10)
    before = of_garden(await ask(fixed, query))
    for number in range(10, 16):
        users.act("ann", f"item-{5 * number}")
    assert of_garden(await ask(fixed, query)) > before


async def test_one_hide_is_mild(state: State, users: Any) -> None:
    """Some of the category stays; and next to nothing happens to what is liked otherwise."""
    state.live.current = None
    query = Query(user="ann", k=40)
    before = of_garden(await ask(state, query))
    users.act("ann", "item-0", kind="hide")
    assert before / 4 < of_garden(await ask(state, query)) < before
    for number in range(1, 16):
        users.act("bob", f"item-{5 * number}", kind="like")
    hidden = of_garden(await ask(with_settings(state, hide_seen=False), Query(user="bob", k=20)))
    users.act("bob", "item-0", kind="hide")
    after = of_garden(await ask(with_settings(state, hide_seen=False), Query(user="bob", k=20)))
    assert after >= hidden - 2


async def test_hides_of_everything_alike_leave_the_list_as_good_as_it_was(
    state: State, users: Any
) -> None:
    """One of each category: what is most popular of the rest, in its order."""
    state.live.current = None
    query = Query(user="ann", k=10)
    users.act("bob", "item-70")  # as many interactions, elsewhere
    for number in range(5):
        users.act("ann", f"item-{number}", kind="hide")
    answer = await ask(with_settings(state, exploration_slots=0), query)
    assert ids(answer) == [f"item-{number}" for number in range(5, 15)]
    assert not answer.degraded or answer.degraded == ["model"]


async def test_a_hide_that_is_taken_back_counts_as_what_took_it_back(
    state: State, users: Any
) -> None:
    """The item may come again, and its category is liked."""
    users.act("ann", "item-0", kind="hide")
    shown = with_settings(state, hide_seen=False)
    assert "item-0" not in ids(await ask(shown, Query(user="ann", k=80)))
    users.act("ann", "item-0", kind="like")
    assert "item-0" in ids(await ask(shown, Query(user="ann", k=80)))


async def test_without_redis_a_rejection_that_was_read_still_holds(
    state: State, users: Any
) -> None:
    """From the memory of this process; and the answer says that the state is an old one."""
    users.act("ann", "item-0", kind="hide")
    await ask(state, Query(user="ann"))
    users.down = True
    answer = await ask(with_settings(state, hide_seen=False), Query(user="ann", k=80))
    assert "item-0" not in ids(answer)
    assert answer.degraded == ["user_state"]


async def test_out_of_time_a_rejected_item_stays_out(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage is left out but that filter."""
    users.act("ann", "item-0", kind="hide")
    users.act("ann", "item-1")
    seconds = itertools.count()
    clock = lambda: float(next(seconds))  # noqa: E731
    monkeypatch.setattr(moment, "Stages", lambda deadline_ms: Stages(deadline_ms, now=clock))
    answer = await ask(with_settings(state, deadline_ms=100), Query(user="ann", k=10))
    assert {"filter", "aversion"} <= set(answer.degraded)
    assert ids(answer) == [f"item-{number}" for number in range(1, 11)]


@pytest.mark.parametrize("with_model", [True, False])
@pytest.mark.parametrize("weight", [0.0, 1.0])
async def test_rank_puts_what_was_rejected_last_and_says_so(
    state: State, users: Any, with_model: bool, weight: float
) -> None:
    """All of the client's items are there; the rejected ones are the best of them otherwise."""
    if not with_model:
        state.live.current = None
    users.act("ann", "item-1", kind="hide")
    users.act("ann", "item-0", kind="dislike")
    wanted = [f"item-{number}" for number in range(20)]
    ranked_by = with_settings(state, rejection_weight=weight)
    answer = (await rank_items(ranked_by, RankQuery(user="ann", items=wanted), "r1")).answer
    assert sorted(ids(answer)) == sorted(wanted)
    assert set(ids(answer)[-2:]) == set(answer.unwanted) == {"item-0", "item-1"}
    assert {item.reason for item in answer.items[-2:]} == {"you said that this is not for you"}
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == 0
    only = (await rank_items(ranked_by, RankQuery(user="ann", items=["item-0"]), "r2")).answer
    assert ids(only) == only.unwanted == ["item-0"]


async def test_no_list_but_a_ranked_one_names_unwanted_items(state: State, users: Any) -> None:
    """They are not in it."""
    users.act("ann", "item-0", kind="hide")
    assert (await ask(state, Query(user="ann", k=80))).unwanted == []


async def test_rank_lowers_what_is_like_the_rejected_also_where_no_source_found_it(
    state: State, users: Any
) -> None:
    """Without a model too, in one order with the rest, and without a false reason."""
    state.live.current = None
    for number in range(6):
        users.act("ann", f"item-{5 * number}", kind="hide")
    few = with_settings(state, candidates=4)
    kept, averse = ["item-61", "item-62", "item-63"], ["item-60", "item-65", "item-70"]
    answer = (await rank_items(few, RankQuery(user="ann", items=[*averse, *kept]), "r1")).answer
    assert ids(answer) == [*kept, *averse]
    assert all(item.score > 0 for item in answer.items)
    assert {(item.source, item.reason) for item in answer.items} == {
        ("popular", "chosen for this page")
    }
