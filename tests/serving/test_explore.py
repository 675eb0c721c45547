"""Exploration slots: where they are, who may be drawn, and how probable that was."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from serving.answer import Query
from serving.explore import slot_positions
from serving.moment import State
from serving.pipeline import recommend


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


async def test_the_fixed_slots_are_the_best_ones_in_their_order(state: Any) -> None:
    """Exploration takes places away from the end of the list, never its order."""
    settings = msgspec.structs.replace(state.settings, exploration_slots=0)
    none = State(settings, state.users, state.items, state.live, state.notices)
    query = Query(user="nobody", k=12)
    best = (await recommend(none, query, "r", np.random.default_rng(0))).answer.items
    mixed = (await recommend(state, query, "r", np.random.default_rng(0))).answer.items
    fixed = [item.item_id for item in mixed if not item.explored]
    assert fixed == [item.item_id for item in best][: len(fixed)]
