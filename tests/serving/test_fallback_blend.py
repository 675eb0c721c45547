"""The order without a ranker: what the lists say, and who is credited."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from online_models.features import SOURCES
from online_models.maths.source_blend import Evidence, blend_weights
from online_models.sources import ORDERS, order_scores, trending_scores
from serving.answer import Query
from serving.fallback_blend import (
    FAMILIES,
    FIXED,
    FIXED_WEIGHTS,
    LISTS,
    OPTIONS,
    PERSONAL,
    POWERS,
    SOURCE_OF,
    Blend,
    blended,
    list_parts,
)
from serving.item_table import ItemTable
from serving.moment import State, hydrate
from serving.pipeline import funnel, recommend
from serving.sources.found import Union


async def candidates(state: State, user_id: str) -> Union:
    moment = await hydrate(state, user_id, None)
    return funnel(moment, Query(user=user_id)).ranked.union


def alone(name: str) -> Blend:
    return Blend(name, (np.array(LISTS) == name) + 1e-6 * FIXED_WEIGHTS)


def test_every_list_has_an_option_a_family_and_a_source() -> None:
    """Popularity at each pace is one family, and so is what rises; the others are by themselves."""
    assert len(OPTIONS) == len(set(OPTIONS)) == len(LISTS) + 7
    families = {LISTS[each] for each in FAMILIES}
    assert families == set(SOURCES)
    by_family = dict(zip(LISTS, (SOURCES[source] for source in SOURCE_OF), strict=True))
    assert {name for name in by_family if by_family[name] == "trending"} == {
        "trending",
        *(name for name in ORDERS if name.startswith("rising")),
    }
    assert by_family["rate_3600s"] == by_family["interactions"] == "popular"
    assert [by_family[name] for name in SOURCES] == list(SOURCES)
    for_everyone = {by_family[name] for name, own in zip(LISTS, PERSONAL, strict=True) if not own}
    assert for_everyone == {"popular", "trending", "new"}


def test_the_orders_are_the_counters_at_each_pace() -> None:
    """The rate of each half-life, what rises at it, and all there ever was."""
    rates = np.random.default_rng(0).random((7, 4), np.float32) / 1000
    interactions = np.arange(7, dtype=np.uint32)
    scores = order_scores(rates, interactions)
    assert scores.shape == (7, len(ORDERS))
    assert (scores[:, :4] == rates).all()
    assert (scores[:, ORDERS.index("rising_3600s")] == trending_scores(rates)).all()
    assert scores[:, -1].tolist() == list(range(7))


async def test_the_fixed_blend_is_the_order_of_the_candidates(state: State, users: Any) -> None:
    """Nothing is computed for it, and what would be is the same."""
    users.act("ann", "item-3")
    union, table = await candidates(state, "ann"), state.items.table
    scores, sources = blended(table, union, table.now_ms, FIXED)
    assert scores.tolist() == union.fused.astype(np.float32).tolist()
    assert sources.tolist() == union.best_source().tolist()
    computed, credited = blended(table, union, table.now_ms, Blend("x", FIXED_WEIGHTS))
    assert np.argsort(-computed).tolist() == np.argsort(-scores, kind="stable").tolist()
    assert credited.tolist() == sources.tolist()


async def test_a_blend_orders_by_the_weighted_sum_of_reciprocal_ranks(
    state: State, users: Any
) -> None:
    """A slow twin, candidate by candidate and list by list."""
    users.act("ann", "item-3")
    table = state.items.table
    table.rates[: table.size, 1] = np.random.default_rng(1).random(table.size) / 100
    union = await candidates(state, "ann")
    weights = np.random.default_rng(2).random(len(LISTS))
    scores, sources = blended(table, union, table.now_ms, Blend("some", weights))
    by_order = order_scores(
        table.rates_at(union.rows, table.now_ms), table.interactions[union.rows]
    )
    sums = []
    for at in range(len(union)):
        parts = []
        for number, name in enumerate(LISTS):
            if name in SOURCES:
                rank = int(union.ranks[at, number])
            else:
                values = by_order[:, ORDERS.index(name)]
                better = (values > values[at]).sum() + (values[:at] == values[at]).sum()
                rank = int(better) if values[at] > 0 else -1
            parts.append(weights[number] / (20 + rank) if rank >= 0 else 0.0)
        sums.append(sum(parts))
        assert sources[at] == SOURCE_OF[int(np.argmax(parts))]
    for place, at in enumerate(sorted(range(len(union)), key=lambda at: -sums[at])):
        assert scores[at] == pytest.approx(1 / (20 + place))


async def test_the_list_without_a_model_follows_the_blend(state: State, table: ItemTable) -> None:
    """By the rate of the hour alone: its order, its name in the policy, popular as the source."""
    state.live.current = None
    table.rates[: table.size, 1] = np.arange(table.size) / 1000 + 0.001
    state.sources.blend = alone("rate_3600s")
    state = replace(state, settings=replace_slots(state))
    served = await recommend(state, Query(user="nobody", k=5), "r", np.random.default_rng(0))
    assert [item.item_id for item in served.answer.items] == [
        f"item-{n}" for n in (79, 78, 77, 76, 75)
    ]
    assert served.answer.quality == "source_order"
    assert served.answer.policy == "blend-rate_3600s-mmr0.05-thompson0"
    assert {item.source for item in served.answer.items} == {"popular"}


def replace_slots(state: State) -> Any:
    import msgspec

    return msgspec.structs.replace(state.settings, exploration_slots=0)


async def test_the_features_do_not_know_the_blend(state: State, users: Any) -> None:
    """What the ranker sees keeps the fixed weights."""
    users.act("ann", "item-3")
    moment = await hydrate(state, "ann", None)
    before = funnel(moment, Query(user="ann")).ranked
    state.sources.blend = alone("rate_300s")
    after = funnel(await hydrate(state, "ann", None), Query(user="ann")).ranked
    assert before.by_ranker
    assert after.features is not None
    assert before.features is not None
    assert (before.features == after.features).all()
    assert (before.scores == after.scores).all()


async def test_no_candidates_have_no_parts(state: State) -> None:
    """An empty union."""
    union = (await candidates(state, "nobody")).take(np.empty(0, np.int64))
    assert list_parts(state.items.table, union, 0).shape == (0, len(LISTS))


async def test_no_blend_brings_what_was_rejected(state: State, users: Any) -> None:
    """Six hides of one category: nothing of it in 20, whatever the lists weigh; before, a fifth."""
    state.live.current = None
    query = Query(user="ann", k=20)
    evidence = Evidence.none(len(OPTIONS) + len(LISTS))
    for number in range(100):  # so that the learned blends differ from the fixed weights
        evidence = evidence.learned((np.arange(len(evidence.hits)) * 7 + number) % 20, 0.0)
    options = blend_weights(evidence, FIXED_WEIGHTS, FAMILIES, PERSONAL, POWERS)
    for after in (False, True):
        for number in range(6 if after else 0):
            users.act("ann", f"item-{5 * number}", kind="hide")
        for name, weights in zip(OPTIONS, options, strict=True):
            state.sources.blend = Blend(name, weights)
            answer = (await recommend(state, query, "r", np.random.default_rng(0))).answer
            garden = sum("garden" in item.categories for item in answer.items)
            assert (garden == 0) is after, name
