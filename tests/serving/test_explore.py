"""Exploration slots: where they are, who may be drawn, and how probable that was."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from online_models.maths.bandit import SHARPNESS, posterior, thompson_slots
from online_models.maths.bandit_prior import ClickPrior
from serving.answer import Query
from serving.explore import ARMS_RANKED, slot_positions
from serving.explore import _arms as arms_of
from serving.moment import hydrate
from serving.pipeline import funnel, recommend


@pytest.mark.parametrize(
    ("length", "slots", "positions"),
    [(0, 2, []), (3, 2, []), (4, 2, [2]), (8, 2, [2, 5]), (20, 0, []), (20, 3, [5, 10, 15])],
)
def test_slots_are_spread_over_the_list(length: int, slots: int, positions: list[int]) -> None:
    """A short list is the user's own."""
    assert slot_positions(length, slots) == positions


async def test_propensities_are_the_frequencies_of_the_draws(state: Any) -> None:
    """For the first explored slot, over 2,000 seeds.

    An arm with probability p is drawn n p times with deviation sqrt(n p (1 - p)); five deviations
    on at most 32 arms raise a false alarm about once in 50,000 runs, and the seeds are fixed.
    """
    n = 2_000
    drawn: Counter[str] = Counter()
    propensity: dict[str, float] = {}
    for seed in range(n):
        served = await recommend(state, Query(user="nobody", k=8), "r", np.random.default_rng(seed))
        first = next(item for item in served.answer.items if item.explored)
        drawn[first.item_id] += 1
        propensity[first.item_id] = first.propensity
    assert sum(propensity.values()) == pytest.approx(1, abs=0.05)
    for item_id, share in propensity.items():
        deviation = (n * share * (1 - share)) ** 0.5
        assert abs(drawn[item_id] - n * share) < 5 * deviation


async def test_arms_are_drawn_from_sharpened_posteriors_with_the_prior_of_their_categories(
    state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some arms have 50 impressions and 5 clicks; each category has a rate of its own."""
    table, standings = state.items.table, state.items.standings
    n = len(table.category_codes)
    prior = ClickPrior(0.01, 200.0, 100.0, np.linspace(0.02, 0.2, n), 0.01)
    state.items.standings = dataclasses.replace(standings, priors=[prior] * len(standings.priors))
    table.impressions[: table.size : 3, 0] = 50
    table.clicks[: table.size : 3, 0] = 5
    drawn_from: list[tuple[float, float]] = []

    def spy(alpha: Any, beta: Any, slots: int, rng: Any) -> Any:
        drawn_from.extend(zip(alpha.tolist(), beta.tolist(), strict=True))
        return thompson_slots(alpha, beta, slots, rng)

    monkeypatch.setattr("serving.explore.thompson_slots", spy)
    served = await recommend(state, Query(user="nobody", k=8), "r", np.random.default_rng(0))
    assert not served.answer.degraded
    alpha, beta = posterior(
        prior.of(table.codes(np.arange(table.size))),
        table.impressions[: table.size, 0],
        table.clicks[: table.size, 0],
    )
    offered = {(SHARPNESS * a, SHARPNESS * b) for a, b in zip(alpha, beta, strict=True)}
    assert len(set(drawn_from)) > 2
    assert set(drawn_from) <= offered


async def test_the_fixed_slots_are_the_best_ones_in_their_order(state: Any) -> None:
    """Exploration takes places away from the end of the list, never its order."""
    settings = msgspec.structs.replace(state.settings, exploration_slots=0)
    none = replace(state, settings=settings)
    query = Query(user="nobody", k=12)
    best = (await recommend(none, query, "r", np.random.default_rng(0))).answer.items
    mixed = (await recommend(state, query, "r", np.random.default_rng(0))).answer.items
    fixed = [item.item_id for item in mixed if not item.explored]
    assert fixed == [item.item_id for item in best][: len(fixed)]


async def test_what_has_a_place_is_no_arm(state: Any) -> None:
    """No item is in a list twice."""
    moment = await hydrate(state, "ann", None)
    result = funnel(moment, Query(user="ann", k=8))
    placed = result.order[:6]
    arms = arms_of(result.ranked, placed)
    assert len(arms)
    assert not set(arms.tolist()) & set(placed.tolist())


async def test_what_is_like_the_rejected_is_no_arm_while_there_are_others(
    state: Any, users: Any
) -> None:
    """Nor one of the newest, which are arms whatever their score."""
    table = state.items.table
    table.created_ts_ms[: table.size : 5] = table.now_ms - 1000  # the garden alone is new
    table.version += 1
    state.items.refresh()
    for number in range(6):
        users.act("ann", f"item-{5 * number}", kind="hide")
    garden = set(table.rows([f"item-{number}" for number in range(0, 80, 5)]).tolist())
    moment = await hydrate(state, "ann", None)
    result = funnel(moment, Query(user="ann", k=8))
    arms = arms_of(result.ranked, result.order[:6])
    assert len(arms) >= ARMS_RANKED
    assert not set(result.ranked.union.rows[arms].tolist()) & garden


async def test_where_all_that_is_left_is_like_the_rejected_it_is_drawn_more_rarely(
    state: Any, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate that an arm is drawn by is lowered as its score is."""
    drawn_from: list[float] = []

    def spy(alpha: Any, beta: Any, slots: int, rng: Any) -> Any:
        drawn_from.extend((alpha / beta).tolist())
        return thompson_slots(alpha, beta, slots, rng)

    monkeypatch.setattr("serving.explore.thompson_slots", spy)
    state.items.table.withdraw([f"item-{number}" for number in range(12, 80)])
    query = Query(user="ann", k=4)
    await recommend(state, query, "r", np.random.default_rng(0))
    before, drawn_from[:] = max(drawn_from), []
    users.act("ann", "item-0", kind="hide")
    users.act("ann", "item-5", kind="hide")  # of the garden, item-10 is left
    served = await recommend(state, query, "r", np.random.default_rng(0))
    assert not served.answer.degraded
    assert min(drawn_from) < before / 2
