"""The funnel on twins: what it recommends, and what it does when something is missing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from freshet.core.errors import RequestError, ServiceError
from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import Item
from freshet.core.state.records import unpack_items
from online_models.features import FEATURES, SOURCES
from serving import explore, moment, ranking
from serving.answer import Answer, Query, RankQuery
from serving.moment import State
from serving.pipeline import rank_items, recommend
from serving.sources import gather as gathering
from serving.stages import BUDGETS, Stages

COLD = Query(user="nobody", k=10)
MAY_FAIL = {
    "session": "find_session",
    "covisitation": "find_covisits",
    "transitions": "find_transitions",
    "neighbours": "find_neighbours",
    "past": "find_past",
    "similar": "find_similar",
    "category": "find_in_categories",
    "trending": "find_trending",
    "new": "find_new",
}
"""The function of each source but popular, which never fails."""


async def ask(state: State, query: Query, seed: int = 0) -> Answer:
    return (await recommend(state, query, "r1", np.random.default_rng(seed))).answer


def with_settings(state: State, **changes: Any) -> State:
    settings = msgspec.structs.replace(state.settings, **changes)
    return replace(state, settings=settings)


def ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]


# --- what is recommended ---


async def test_an_unknown_user_gets_a_full_list_of_good_items(state: State) -> None:
    """A cold start is no degradation: a whole list, ranked, from the popular items."""
    answer = await ask(state, COLD)
    assert len(answer.items) == 10
    assert answer.quality == "full"
    assert answer.degraded == []
    assert answer.as_of is None
    assert not answer.personalised
    assert {item.source for item in answer.items} <= {"popular", "trending", "new"}


async def test_positions_count_up_and_no_item_comes_twice(state: State) -> None:
    """Slots are numbered from 0, each with another item."""
    answer = await ask(state, Query(user="nobody", k=50))
    assert [item.position for item in answer.items] == list(range(50))
    assert len(set(ids(answer))) == 50


async def test_every_slot_has_a_propensity_a_source_and_a_reason(state: State, users: Any) -> None:
    """Fixed slots are certain, explored ones lie within (0, 1)."""
    users.act("ann", "item-3")
    answer = await ask(state, Query(user="ann", k=20))
    assert sum(item.explored for item in answer.items) == state.settings.exploration_slots
    for item in answer.items:
        assert item.propensity == 1 if not item.explored else 0 < item.propensity < 1
        assert item.source in SOURCES
        assert item.reason
        assert np.isfinite(item.score)


async def test_seen_items_are_not_recommended(state: State, users: Any) -> None:
    """What the user acted on does not come back."""
    seen = [f"item-{number}" for number in range(12)]
    for item_id in seen:
        users.act("ann", item_id)
    answer = await ask(state, Query(user="ann", k=50))
    assert not set(seen) & set(ids(answer))
    assert answer.personalised
    assert answer.as_of is not None
    assert answer.as_of.applied == 12


async def test_seen_items_may_be_recommended_where_that_is_wished(state: State, users: Any) -> None:
    """`hide_seen` off lets the most popular item come back."""
    users.act("ann", "item-0")
    relaxed = with_settings(state, hide_seen=False, diversity=0.0)
    assert "item-0" in ids(await ask(relaxed, Query(user="ann", k=80)))


async def test_when_everything_was_seen_seen_items_are_shown(state: State, users: Any) -> None:
    """A list of seen items, said so, is better than none."""
    for number in range(50):
        users.act("ann", f"item-{number}")
    state.items.table.withdraw([f"item-{number}" for number in range(50, 80)])
    answer = await ask(state, Query(user="ann", k=5))
    assert len(answer.items) == 5
    assert answer.degraded == ["seen"]
    assert answer.quality == "partial"


async def test_a_withdrawn_item_vanishes_at_once(state: State) -> None:
    """Even before the standings are computed anew."""
    assert "item-0" in ids(await ask(state, Query(user="nobody", k=80)))
    state.items.table.withdraw(["item-0"])
    assert "item-0" not in ids(await ask(state, Query(user="nobody", k=80)))


async def test_an_item_that_is_not_in_the_catalogue_is_never_recommended(
    state: State, table: Any
) -> None:
    """However popular it is."""
    record = unpack_items([None])
    record["trend"] = 10_000
    record["last_ts_ms"] = table.now_ms
    table.put_records(["stranger"], record)
    state.items.refresh()
    assert "stranger" not in ids(await ask(state, Query(user="nobody", k=100)))


async def test_a_new_item_is_recommendable_before_any_bundle_knows_it(state: State) -> None:
    """The source `new` finds it, and the side list after it got a vector."""
    item = Item(item_id="fresh", title="amber moon", created_ts_ms=state.items.table.now_ms)
    state.items.table.offer([item])
    state.items.refresh()
    assert "fresh" in ids(await ask(state, Query(user="nobody", k=100)))
    await state.live.embed_new_items()
    assert "fresh" in ids(await ask(state, Query(user="nobody", k=100)))


async def test_excluded_items_and_other_categories_stay_out(state: State) -> None:
    """The request's own filters hold for every slot, the explored ones too."""
    query = Query(user="nobody", k=12, exclude=["item-0", "item-5"], categories=["garden"])
    answer = await ask(state, query)
    assert len(answer.items) == 12
    assert all(item.categories == ["garden"] for item in answer.items)
    assert not {"item-0", "item-5"} & set(ids(answer))


async def test_filters_that_nothing_passes_are_the_callers_fault(state: State) -> None:
    """The error names the field."""
    with pytest.raises(RequestError) as caught:
        await ask(state, Query(user="nobody", categories=["no such"]))
    assert (caught.value.status, caught.value.field) == (422, "categories")


async def test_an_empty_catalogue_is_an_error_and_no_empty_list(state: State) -> None:
    """Never an empty 200."""
    state.items.table.withdraw(list(state.items.table.ids))
    with pytest.raises(ServiceError, match="offers no items"):
        await ask(state, COLD)


async def test_a_seed_makes_an_answer_reproducible(state: State) -> None:
    """Two requests with one seed agree; some other seed differs in an explored slot."""
    first, second = await ask(state, COLD, seed=5), await ask(state, COLD, seed=5)
    assert first.items == second.items
    others = [await ask(state, COLD, seed=seed) for seed in range(6, 12)]
    assert any(other.items != first.items for other in others)
    fixed = [item.item_id for item in first.items if not item.explored]
    for other in others:
        assert [item.item_id for item in other.items if not item.explored] == fixed


async def test_what_was_visited_next_is_recommended_with_its_reason(
    state: State, users: Any, covisits: Any
) -> None:
    """Co-visits of the last item lead to the next one."""
    (last,) = item_hashes(["item-70"])
    state.items.table.put_covisits([int(last)], [covisits("item-61", "item-61", "item-62")])
    users.act("ann", "item-70")
    no_ranker = replace(state, users=users)
    no_ranker.live.current = None
    answer = await ask(no_ranker, Query(user="ann", k=3))
    assert answer.items[0].item_id in {"item-61", "item-0"}
    found = next(item for item in answer.items if item.item_id == "item-61")
    assert found.source == "covisitation"
    assert found.reason.startswith("often next after")


async def test_a_session_leads_to_items_like_it(state: State, users: Any) -> None:
    """The reason names the item that is nearest in the history."""
    users.act("ann", "item-7", kind="like")
    answer = await ask(state, Query(user="ann", k=40))
    entry = state.items.table.entries[state.items.table.row("item-7")]
    assert entry is not None
    reasons = {item.reason for item in answer.items if item.source == "session"}
    assert f"because you liked {entry.title}" in reasons


async def test_the_log_of_an_answer_holds_features_for_each_slot(state: State) -> None:
    """float16, one row a slot, in the order of the slots."""
    served = await recommend(state, COLD, "r1", np.random.default_rng(0))
    slate = served.slate(123)
    features = np.frombuffer(slate.features, "<f2").reshape(len(slate.slots), len(FEATURES))
    assert np.isfinite(features).all()
    assert [slot.item_id for slot in slate.slots] == ids(served.answer)
    assert slate.ts_ms == 123


# --- what happens when something is missing ---


async def test_without_redis_the_user_is_the_one_last_seen(state: State, users: Any) -> None:
    """The state in memory serves, and the answer says so."""
    users.act("ann", "item-3")
    await ask(state, Query(user="ann"))
    users.down = True
    answer = await ask(state, Query(user="ann"))
    assert answer.degraded == ["user_state"]
    assert answer.quality == "partial"
    assert answer.personalised
    assert "item-3" not in ids(answer)


async def test_without_redis_an_unseen_user_is_a_new_one(state: State, users: Any) -> None:
    """A list for newcomers, and the answer says so."""
    users.act("ann", "item-3")
    users.down = True
    answer = await ask(state, Query(user="ann"))
    assert answer.degraded == ["user_state"]
    assert not answer.personalised
    assert len(answer.items) == 20


async def test_without_a_bundle_the_sources_order_the_list(state: State) -> None:
    """Fused by rank, with the most popular item first for a newcomer."""
    state.live.current = None
    answer = await ask(state, COLD)
    assert answer.quality in {"source_order", "popular"}
    assert "model" in answer.degraded
    assert answer.model_version == "none"
    assert answer.items[0].item_id == "item-0"


async def test_only_popular_items_left_is_said(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every other source failing and no ranker, popular still answers."""
    state.live.current = None
    for function in MAY_FAIL.values():
        monkeypatch.setattr(gathering, function, _broken)
    answer = await ask(state, COLD)
    assert answer.quality == "popular"
    assert answer.degraded == ["model", *MAY_FAIL]
    assert len(answer.items) == 10


@pytest.mark.parametrize(("source", "function"), MAY_FAIL.items())
async def test_a_source_may_fail_alone(
    state: State, monkeypatch: pytest.MonkeyPatch, source: str, function: str
) -> None:
    """It is named, and the others fill the list."""
    monkeypatch.setattr(gathering, function, _broken)
    answer = await ask(state, COLD)
    assert answer.degraded == [source]
    assert answer.quality == "partial"
    assert len(answer.items) == 10


@pytest.mark.parametrize("stage", ["features", "rank"])
async def test_a_failing_ranker_leaves_the_order_of_the_sources(
    state: State, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """The list is there, and says what it is."""
    if stage == "features":
        monkeypatch.setattr(ranking, "compute_features", _broken)
    else:
        monkeypatch.setattr(type(state.live.current.bundle), "probabilities", _broken)
    answer = await ask(state, COLD)
    assert answer.quality == "source_order"
    assert answer.degraded == [stage]
    assert answer.items[0].item_id == "item-0"


async def test_failing_re_ranking_leaves_the_ranker_s_order(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores then fall from slot to slot, the explored ones apart."""
    monkeypatch.setattr(ranking, "mmr", _broken)
    answer = await ask(state, COLD)
    assert answer.degraded == ["rerank"]
    scores = [item.score for item in answer.items if not item.explored]
    assert scores == sorted(scores, reverse=True)


async def test_failing_exploration_leaves_a_certain_list(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No slot is drawn, every propensity is 1."""
    monkeypatch.setattr(explore, "thompson_slots", _broken)
    answer = await ask(state, COLD)
    assert answer.degraded == ["explore"]
    assert all(item.propensity == 1 and not item.explored for item in answer.items)
    assert len(set(ids(answer))) == 10


async def test_a_failing_encoder_leaves_the_session_embedding(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The query vector comes from the session, and the list stays personal."""
    users.act("ann", "item-7")
    monkeypatch.setattr(type(state.live.current.bundle), "encode", _broken)
    answer = await ask(state, Query(user="ann", k=30))
    assert answer.degraded == ["encoder"]
    assert "session" in {item.source for item in answer.items}


async def test_stale_item_state_is_said(state: State) -> None:
    """While the follower is away the list rests on what was known."""
    state.items.following = False
    answer = await ask(state, COLD)
    assert answer.degraded == ["item_state"]
    assert len(answer.items) == 10


async def test_out_of_time_the_popular_items_still_answer(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage that may be left out is, is named, and the list is there."""
    seconds = itertools.count()
    clock = lambda: float(next(seconds))  # noqa: E731
    monkeypatch.setattr(moment, "Stages", lambda deadline_ms: Stages(deadline_ms, now=clock))
    answer = await ask(with_settings(state, deadline_ms=100), COLD)
    assert answer.quality == "popular"
    assert set(answer.degraded) == set(BUDGETS) - {"rank"}  # without features it is not tried
    assert ids(answer) == [f"item-{number}" for number in range(10)]


# --- after an event ---


async def test_an_answer_after_an_event_waits_for_it(state: State, users: Any) -> None:
    """The event is there already: consistent at once."""
    users.act("ann", "item-3", event_id="e1")
    answer = await ask(state, Query(user="ann", after="e1"))
    assert answer.consistent is True


async def test_an_event_that_does_not_come_is_said(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is bounded, and the answer is as good as the state."""
    monkeypatch.setattr(moment, "AFTER_WAIT_S", 0.0)
    users.act("ann", "item-3", event_id="e1")
    answer = await ask(state, Query(user="ann", after="e2"))
    assert answer.consistent is False
    assert len(answer.items) == 20


async def test_an_answer_that_waits_for_no_event_says_nothing_of_it(state: State) -> None:
    """`consistent` is null."""
    assert (await ask(state, COLD)).consistent is None


# --- the client's own candidates ---


async def test_rank_orders_the_clients_own_items(state: State, users: Any) -> None:
    """All offered ones, best first; the others are named."""
    users.act("ann", "item-3")
    wanted = [f"item-{number}" for number in range(20, 40)]
    served = await rank_items(state, RankQuery(user="ann", items=[*wanted, "what"]), "r1")
    assert sorted(ids(served.answer)) == sorted(wanted)
    scores = [item.score for item in served.answer.items]
    assert scores == sorted(scores, reverse=True)
    assert served.answer.unknown == ["what"]
    assert all(item.propensity == 1 for item in served.answer.items)


async def test_rank_refuses_items_that_nobody_offers(state: State) -> None:
    """The caller's fault."""
    with pytest.raises(RequestError, match="none of these"):
        await rank_items(state, RankQuery(user="ann", items=["what"]), "r1")


def _broken(*_: object, **__: object) -> Any:
    raise RuntimeError("broken on purpose")
