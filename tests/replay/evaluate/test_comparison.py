"""Comparisons take the wider of two intervals and are corrected for their number."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from freshet.core.events.schema import Item
from online_models.maths.intervals import blocks_of, paired_difference
from replay.evaluate.comparison import compare
from replay.evaluate.outcome import Outcome

DAYS, USERS = 20, 60


@pytest.fixture
def daily(click_log: Callable[..., object]) -> Outcome:
    """Every user clicks once a day."""
    users = np.tile(np.arange(USERS), DAYS)
    hours = np.arange(DAYS).repeat(USERS) * 24
    nothing = np.zeros(DAYS * USERS, np.int64)
    return Outcome(
        name="daily",
        log=click_log([Item(item_id="0")], users, nothing, hours),
        events=np.arange(DAYS * USERS),
        targets=nothing,
        history_lengths=nothing,
        target_counts=nothing,
        lists={},
        seconds={},
        baselines=[],
    )


@pytest.mark.parametrize("by_user", [True, False], ids=["people differ", "days differ"])
def test_the_wider_interval_is_given(daily: Outcome, by_user: bool) -> None:
    """Where some people are foreseen and others never, more days of them prove nothing."""
    rng = np.random.default_rng(2)
    users, ts_ms = daily.log.user, daily.log.ts_ms
    if by_user:
        mine = rng.integers(0, 2, USERS)[users].astype(float)
    else:
        groups = blocks_of(users, ts_ms)
        mine = (groups % 7 < 3).astype(float)
    theirs = np.full(len(users), 0.25)
    widths = []
    for blocks in (users, blocks_of(users, ts_ms)):
        each = paired_difference(mine, theirs, blocks, np.random.default_rng(9))
        widths.append(each.high - each.low)
    assert (widths[0] > widths[1]) == by_user
    found = compare(daily, {"mine": mine, "theirs": theirs}, ["mine"], "theirs", seed=9)[0]
    assert found.high - found.low == pytest.approx(max(widths))
    assert found.ci_high - found.ci_low == pytest.approx(100 * max(widths) / 0.25)
    assert found.delta_pct == pytest.approx(100 * (mine.mean() - 0.25) / 0.25)


def test_p_values_are_corrected_together(daily: Outcome) -> None:
    """Two that are sure and one that is not: factors 3, 2 and 1."""
    rng = np.random.default_rng(3)
    theirs = (rng.random(DAYS * USERS) < 0.3).astype(float)
    hits = {"theirs": theirs, "same": theirs, "more": theirs + 1.0, "less": theirs - 1.0}
    found = compare(daily, hits, ["same", "more", "less"], "theirs", seed=0)
    assert [each.contestant for each in found] == ["same", "more", "less"]
    least = 2 / 1001
    assert [each.p for each in found] == pytest.approx([1, least, least])
    assert [each.p_holm for each in found] == pytest.approx([1, 3 * least, 3 * least])


def test_only_the_requests_asked_for_count(daily: Outcome) -> None:
    """A part of the requests, in the middle of each day, as if there were no others."""
    rng = np.random.default_rng(4)
    mask = (daily.log.user >= 20) & (daily.log.user < 40)
    hits = {name: rng.integers(0, 2, len(mask)).astype(float) for name in ("mine", "theirs")}
    alone = replace(daily, events=daily.events[mask])
    expected = compare(alone, {n: h[mask] for n, h in hits.items()}, ["mine"], "theirs", seed=0)
    assert compare(daily, hits, ["mine"], "theirs", seed=0, mask=mask) == expected
    assert expected[0].recall20 == hits["mine"][mask].mean()


def test_without_a_baseline_nothing_is_compared(daily: Outcome) -> None:
    """Rather than with anybody else."""
    assert compare(daily, {"mine": np.ones(len(daily.events))}, ["mine"], None, seed=0) == []
