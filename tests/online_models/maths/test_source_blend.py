"""Blends of lists: the evidence, the weights, and which option is used."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.source_blend import (
    HALF_LIFE_S,
    PLACES,
    PRIOR_VISITS,
    SURENESS,
    VISITS_KEPT,
    Evidence,
    blend_weights,
    choose,
    first_places,
    order_ranks,
    reciprocal_ranks,
)

PRIOR = np.array([0.5, 1.0, 0.0])
FAMILIES = np.array([0, 1, 1])
PERSONAL = np.array([True, False, False])


def evidence_of(visits: list[tuple[list[int], float]], options: int = 2) -> Evidence:
    evidence = Evidence.none(options)
    for places, ts_s in visits:
        evidence = evidence.learned(np.array(places), ts_s)
    return evidence


def worth(place: int) -> float:
    return 0.0 if place < 0 else (1 + 1 / math.log2(place + 2)) / 2


# --- evidence ---


def test_before_the_first_visit_nothing_is_known() -> None:
    """No rates, no difference, and the prior is used."""
    evidence = Evidence.none(3)
    assert evidence.hit_rates.tolist() == [0, 0, 0]
    assert evidence.surely_above_prior().tolist() == [0, 0, 0]
    assert choose(evidence, 0, 3) == 0


def test_a_visit_that_no_option_held_counts_against_all() -> None:
    """The rates fall, and no option comes before another."""
    evidence = evidence_of([([0, 0], 0.0), ([-1, -1], 0.0)])
    assert evidence.hit_rates == pytest.approx([0.5, 0.5], rel=1e-3)
    assert evidence.surely_above_prior().tolist() == [0, 0]


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(-1, PLACES - 1), min_size=3, max_size=3),
            st.floats(0, 3e6),
        ),
        max_size=12,
    )
)
def test_evidence_is_the_decayed_sum_over_the_visits(
    visits: list[tuple[list[int], float]],
) -> None:
    """A slow twin weighs every visit by its age at the end; late ones count as the newest."""
    evidence = evidence_of(visits, options=3)
    times = np.maximum.accumulate([ts_s for _, ts_s in visits]) if visits else []
    n, hits, excess, squared = 0.0, [0.0] * 3, [0.0] * 3, [0.0] * 3
    for number, (places, _) in enumerate(visits):
        age_s = times[-1] - times[number]
        weight = 0.5 ** (age_s / HALF_LIFE_S) * (1 - 1 / VISITS_KEPT) ** (len(visits) - 1 - number)
        n += weight
        for option, place in enumerate(places):
            hits[option] += weight * (place >= 0)
            more = worth(place) - worth(places[0])
            excess[option] += weight * more
            squared[option] += weight * more**2
    assert evidence.visits == pytest.approx(n)
    assert evidence.hits == pytest.approx(hits, abs=1e-9)
    for option, above in enumerate(evidence.surely_above_prior()):
        total = n + PRIOR_VISITS
        mean = excess[option] / total
        variance = max(squared[option] / total - mean**2, 0)
        assert above == pytest.approx(mean - SURENESS * math.sqrt(variance / total), abs=1e-9)


def test_no_more_visits_count_than_are_kept() -> None:
    """What was true long ago is outvoted, however much of it there was."""
    evidence = Evidence.none(2)
    for _ in range(30_000):
        evidence = evidence.learned(np.array([0, -1]), 0.0)
    assert evidence.visits <= VISITS_KEPT
    for _ in range(int(VISITS_KEPT)):
        evidence = evidence.learned(np.array([-1, 0]), 0.0)
    assert evidence.hit_rates[1] > 0.6


# --- which option ---


def test_a_few_visits_do_not_move_the_prior() -> None:
    """Not as many as stand for the prior; three of them that differ are no evidence, 300 are."""
    lucky = [([-1, 0], 0.0)]
    assert choose(evidence_of(lucky * int(PRIOR_VISITS)), 0, 3) == 0
    assert choose(evidence_of(lucky * int(PRIOR_VISITS + 5)), 0, 3) == 1
    mixed = [([-1, 5], 0.0), ([4, -1], 0.0), ([-1, 2], 0.0)]
    assert choose(evidence_of(mixed), 0, 3) == 0
    assert choose(evidence_of(mixed * 100), 0, 3) == 1


def test_an_option_stays_unless_another_is_better_by_a_margin() -> None:
    """Of two alike neither replaces the other."""
    visits = [([-1, 0, -1], 0.0), ([-1, -1, 0], 0.0)] * 200
    evidence = evidence_of(visits, options=3)
    assert choose(evidence, 1, 3) == 1
    assert choose(evidence, 2, 3) == 2
    better = evidence_of([*visits, *[([-1, -1, 0], 0.0)] * 100], options=3)
    assert choose(better, 1, 3) == 2


def test_an_option_that_fell_below_the_prior_is_left() -> None:
    """At once, without a margin."""
    evidence = evidence_of([([0, -1], 0.0)] * 100)
    assert choose(evidence, 1, 3) == 0
    hardly = evidence_of([([0, 0], 0.0)] * 400 + [([0, -1], 0.0)] * 2)
    assert choose(hardly, 1, 3) == 0


@pytest.mark.parametrize("rates", [(0.10, 0.10, 0.10), (0.10, 0.06, 0.14), (0.02, 0.3, 0.1)])
def test_the_choice_is_never_much_worse_than_the_best(rates: tuple[float, ...]) -> None:
    """Drawn visits: after 2,000 of them the option in use is the best, or as good as it.

    Where all are alike the prior stays, unless chance moves it: that costs nothing.
    """
    rng = np.random.default_rng(5)
    evidence, current = Evidence.none(3), 0
    for _ in range(2_000):
        held = rng.random(3) < rates
        evidence = evidence.learned(np.where(held, rng.integers(PLACES, size=3), -1), 0.0)
        current = choose(evidence, current, 3)
    assert rates[current] == max(rates)


# --- ranks and weights ---


def test_reciprocal_ranks_of_nothing_are_nothing() -> None:
    """No candidate, and a candidate that no list ranks."""
    assert reciprocal_ranks(np.empty((0, 2), np.int64), 20.0).shape == (0, 2)
    assert reciprocal_ranks(np.full((1, 2), -1), 20.0).tolist() == [[0, 0]]


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, 3.0]), max_size=9))
def test_order_ranks_count_the_better_ones_and_the_equal_ones_before(values: list[float]) -> None:
    """A slow twin; what is not above zero has no rank."""
    found = order_ranks(np.array(values, np.float32).reshape(-1, 1))[:, 0].tolist()
    assert found == [
        -1 if value <= 0 else sum(v > value for v in values) + values[:at].count(value)
        for at, value in enumerate(values)
    ]


def test_the_first_places_of_a_short_list_end_with_none() -> None:
    """-1 behind the end; of equal scores the first wins."""
    scores = np.array([[0.0, 1.0], [2.0, 1.0]])
    assert first_places(scores, 3).tolist() == [[1, 0], [0, 1], [-1, -1]]
    assert first_places(np.empty((0, 2)), 1).tolist() == [[-1, -1]]
    assert first_places(np.array([[-np.inf], [0.0]]), 2).tolist() == [[1], [-1]]


def test_without_visits_the_learned_blend_is_the_prior_but_for_families() -> None:
    """Of a family only the best counts; an option of one list fills up with the prior."""
    weights = blend_weights(Evidence.none(9), PRIOR, FAMILIES, PERSONAL, powers=(1.0,))
    assert weights.shape == (6, 3)
    assert weights[0].tolist() == PRIOR.tolist()
    assert weights[4] == pytest.approx([0.5, 1.0, 0.0])
    assert weights[5] == pytest.approx([0.5, 0.001, 0.0])
    for own in range(3):
        others = weights[1 + own].copy()
        assert others[own] >= 1
        others[own] = 0
        assert others.max() < 1e-5


def test_learned_weights_follow_the_worth_of_each_list() -> None:
    """The twin spells out the shrinkage; the third list beats the second of its family."""
    options = [-1] * 6
    visits = [([*options, 0, -1, 1], 0.0)] * 30 + [([*options, -1, -1, 0], 0.0)] * 70
    evidence = evidence_of(visits, options=9)
    weights = blend_weights(evidence, PRIOR, FAMILIES, PERSONAL, powers=(2.0,))[4]
    kept = [(1 - 1 / VISITS_KEPT) ** (99 - number) for number in range(100)]
    n = sum(kept) + PRIOR_VISITS
    first = (sum(kept[:30]) * worth(0) + PRIOR_VISITS * 0.05) / n
    third = (sum(kept[:30]) * worth(1) + sum(kept[30:]) * worth(0)) / n
    assert weights == pytest.approx([(first / third) ** 2, 0.0, 1.0])


def test_an_option_of_one_list_keeps_its_order_and_puts_the_others_behind() -> None:
    """500 candidates, in single precision, as the funnel scores them."""
    rng = np.random.default_rng(0)
    n = 500
    ranks = np.full((n, 3), -1)
    ranks[:, 0] = rng.permutation(n)
    ranks[rng.permutation(n)[:200], 2] = np.arange(200)
    weights = blend_weights(Evidence.none(9), PRIOR, FAMILIES, PERSONAL, powers=(1.0,))
    scores = (reciprocal_ranks(ranks, 20.0) @ weights[3]).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    assert ranks[order[:200], 2].tolist() == list(range(200))
    behind = ranks[order[200:], 0]
    assert behind.tolist() == sorted(behind.tolist())
