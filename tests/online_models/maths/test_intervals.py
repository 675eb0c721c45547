"""Intervals hold the truth as often as they say, and chance is called a gain as rarely.

The counts below are binomial; their bounds have a false alarm in 10,000 seeds at most.
"""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from online_models.maths.intervals import (
    LEAST_BLOCKS,
    Difference,
    blocks_of,
    holm,
    most_cautious,
    paired_difference,
)

RUNS = 250
DAY_MS = 86_400_000


def blocked_hits(
    rng: np.random.Generator, blocks: np.ndarray, gain: float
) -> tuple[np.ndarray, np.ndarray]:
    """Hits of two contestants, where a block lifts one of them or the other as a whole."""
    n_blocks = int(blocks.max()) + 1
    level = rng.uniform(0.2, 0.6, n_blocks)[blocks]
    favour = rng.uniform(-0.15, 0.15, n_blocks)[blocks]
    draws = rng.random(len(blocks))  # the same request is easy or hard for both
    return (draws < level + gain + favour).astype(float), (draws < level).astype(float)


@pytest.mark.parametrize("gain", [0.0, 0.08])
def test_the_interval_holds_the_truth(gain: float) -> None:
    """At 95 %; blocks of unlike sizes that differ from one another. A percentile may lose 3 %."""
    rng = np.random.default_rng(17)
    held = 0
    for _ in range(RUNS):
        blocks = np.repeat(np.arange(60), rng.integers(2, 12, 60))
        mine, theirs = blocked_hits(rng, blocks, gain)
        found = paired_difference(mine, theirs, blocks, rng, resamples=300)
        held += found.low <= gain <= found.high
        assert (found.relative_low > 0) == (found.low > 0)
    assert binom.ppf(1e-4, RUNS, 0.92) <= held <= binom.ppf(1 - 1e-4, RUNS, 0.96)


def test_requests_taken_for_independent_are_too_sure() -> None:
    """Why there are blocks: without them, the interval misses the truth far too often."""
    rng = np.random.default_rng(18)
    held = 0
    for _ in range(RUNS):
        blocks = np.repeat(np.arange(20), 30)
        mine, theirs = blocked_hits(rng, blocks, 0.0)
        found = paired_difference(mine, theirs, np.arange(600), rng, resamples=100)
        held += found.low <= 0 <= found.high
    assert held < 0.85 * RUNS


def test_random_halves_are_rarely_called_different() -> None:
    """A/A: what each contestant did is exchanged at random, request by request."""
    rng = np.random.default_rng(19)
    blocks = np.repeat(np.arange(60), 5)
    alarms = 0
    for _ in range(RUNS):
        pair = rng.integers(0, 2, (2, 300)).astype(float)
        found = paired_difference(pair[0], pair[1], blocks, rng, resamples=300)
        alarms += found.p < 0.05
    assert binom.ppf(1e-4, RUNS, 0.04) <= alarms <= binom.ppf(1 - 1e-4, RUNS, 0.08)


def test_it_is_what_the_slow_twin_finds() -> None:
    """Which lays the requests of the drawn blocks side by side, one resample after the other."""
    rng = np.random.default_rng(22)
    blocks = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    mine, theirs = rng.random(len(blocks)) + 0.05, rng.random(len(blocks))
    members = [np.flatnonzero(blocks == block) for block in range(12)]
    draws = np.random.default_rng(4)
    differences, ratios = [], []
    for _ in range(200):
        drawn = np.concatenate([members[block] for block in draws.integers(12, size=12)])
        differences.append(mine[drawn].mean() - theirs[drawn].mean())
        ratios.append(differences[-1] / theirs[drawn].mean())
    below, above = np.sum(np.array(differences) <= 0), np.sum(np.array(differences) >= 0)
    assert 0 < below < 200
    found = paired_difference(mine, theirs, blocks, np.random.default_rng(4), resamples=200)
    expected = [
        mine.mean() - theirs.mean(),
        *np.quantile(differences, [0.025, 0.975]),
        (mine.mean() - theirs.mean()) / theirs.mean(),
        *np.quantile(ratios, [0.025, 0.975]),
        2 * (min(below, above) + 1) / 201,
    ]
    assert astuple(found) == pytest.approx(tuple(expected))


def test_identical_contestants_do_not_differ() -> None:
    """A/A with the very same hits."""
    rng = np.random.default_rng(20)
    hits = rng.integers(0, 2, 100).astype(float)
    found = paired_difference(hits, hits, np.arange(100), rng)
    assert found == Difference(0, 0, 0, 0, 0, 0, 1)


def test_the_same_seed_gives_the_same_interval() -> None:
    """And swapping the contestants turns it round."""
    rng = np.random.default_rng(21)
    mine, theirs = rng.random(200), rng.random(200)
    blocks = np.arange(200) // 4
    one, again, turned = (
        paired_difference(*pair, blocks, np.random.default_rng(1))
        for pair in ((mine, theirs), (mine, theirs), (theirs, mine))
    )
    assert one == again
    assert (turned.absolute, turned.low, turned.high, turned.p) == pytest.approx(
        (-one.absolute, -one.high, -one.low, one.p)
    )


def test_too_few_blocks_say_nothing() -> None:
    """A gain in each of them is still a gain of a handful."""
    for n_blocks, known in ((1, False), (LEAST_BLOCKS - 1, False), (LEAST_BLOCKS, True)):
        blocks = np.arange(100) % n_blocks
        found = paired_difference(np.ones(100), np.full(100, 0.5), blocks, np.random.default_rng(0))
        assert found.absolute == 0.5
        assert found.relative == 1
        assert np.isfinite([found.low, found.high, found.relative_low]).all() == known
        assert (found.p < 0.01) == known


def test_nothing_is_relative_to_nothing() -> None:
    """The other one never hit; the difference itself is known."""
    found = paired_difference(np.ones(40), np.zeros(40), np.arange(40), np.random.default_rng(0))
    assert (found.absolute, found.low, found.high) == (1, 1, 1)
    assert np.isnan([found.relative, found.relative_low, found.relative_high]).all()


def test_the_most_cautious_is_the_one_that_knows_least() -> None:
    """Unknown before wide before narrow, wherever it stands."""
    narrow, wide, unknown = (
        Difference(0.1, 0.1 - width, 0.1 + width, 1, 0, 2, 0.5) for width in (0.01, 0.02, np.nan)
    )
    assert most_cautious([narrow, wide]) is most_cautious([wide, narrow]) is wide
    assert most_cautious([wide, unknown, narrow]) is unknown


@pytest.mark.parametrize("step", [1, 32], ids=["in order", "all alike in their lowest bits"])
def test_blocks_are_days_and_groups_of_users(step: int) -> None:
    """A user stays in a group; users spread evenly; days do not mix."""
    users = step * np.repeat(np.arange(3_200), 2)
    ts_ms = 20_000 * DAY_MS + np.tile([0, DAY_MS - 1], 3_200)
    first, second = blocks_of(users, ts_ms), blocks_of(users, ts_ms + DAY_MS)
    assert np.array_equal(first[::2], first[1::2])
    assert np.array_equal(second, first + 32)
    sizes = np.unique(first[::2], return_counts=True)[1]
    assert len(sizes) == 32
    assert 50 < sizes.min() <= sizes.max() < 150


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.01, 0.2))
def test_holm_rejects_as_the_procedure_does(p_values: list[float], level: float) -> None:
    """From the smallest: stop at the first that is not below level / (those left)."""
    rejected = set()
    for step, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] * (len(p_values) - step) > level:
            break
        rejected.add(int(index))
    corrected = holm(np.array(p_values))
    assert set(np.flatnonzero(corrected <= level).tolist()) == rejected
    assert (corrected >= np.array(p_values)).all()
    assert (corrected <= 1).all()
