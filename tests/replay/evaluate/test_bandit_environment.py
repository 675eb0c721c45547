"""Experiments played again: what is seen when, what is regretted, and who does better."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replay.evaluate.bandit_environment import (
    Conditions,
    Counts,
    Problems,
    Seen,
    play,
    read_experiments,
)
from replay.evaluate.bandit_policies import POLICIES, Memoryless, Shares, uniform

WEEK_MS = 7 * 86_400_000
RATES = np.array([[0.2, 0.1], [0.0, 0.5]])
LOG = [Problems(0, np.array([0, 1]), RATES, np.array([1_000, 250]))]
CALM = Conditions(update_every=100)


class _Always(Memoryless):
    """Shows one arm, and remembers what it was told."""

    def __init__(self, arm: int) -> None:
        self._arm = arm
        self.told: list[Seen] = []

    def allocate(self, seen: Seen, rounds: Counts, rng: np.random.Generator) -> Counts:
        self.told.append(
            Seen(
                seen.impressions.copy(),
                seen.examined.copy(),
                seen.clicks.copy(),
                seen.pending.copy(),
            )
        )
        shown = np.zeros(seen.clicks.shape, np.int64)
        shown[..., self._arm] = rounds
        return shown


def _play(policy, log=LOG, seeds: int = 3, conditions: Conditions = CALM) -> np.ndarray:
    return play(policy, log, seeds, np.random.default_rng(1), conditions)


def test_regret_is_what_the_best_arm_would_have_had_more() -> None:
    """Of every impression, the rest of the last batch included."""
    assert _play(_Always(0)).tolist() == [[0, 125]] * 3
    assert _play(_Always(1)).tolist() == [[pytest.approx(100), 0]] * 3


def test_uniform_regret_is_known() -> None:
    """Half of the impressions; a deviation of sqrt(n) / 2 of them, five of those."""
    regret = _play(Shares(uniform), seeds=400).mean(axis=0)
    assert regret[0] == pytest.approx(50, abs=5 * 0.1 * np.sqrt(1_000) / 2 / 20)
    assert regret[1] == pytest.approx(62.5, abs=5 * 0.5 * np.sqrt(250) / 2 / 20)


def test_clicks_are_seen_at_the_next_update_and_never_before() -> None:
    """Nothing at first; then everything of the batches before."""
    policy = _Always(1)
    _play(policy)
    shown = [seen.impressions[0, 0, 1] for seen in policy.told]
    assert shown == [100 * step for step in range(10)]
    assert all(seen.pending.sum() == 0 for seen in policy.told)
    assert policy.told[-1].clicks[0, 0, 1] == pytest.approx(90, abs=5 * 9)


def test_late_clicks_leave_impressions_pending() -> None:
    """What has not matured is not among the impressions."""
    policy = _Always(1)
    _play(policy, conditions=replace(CALM, late_updates=3))
    assert [seen.impressions[0, 0, 1] for seen in policy.told[:6]] == [0, 0, 0, 0, 100, 200]
    assert [seen.pending[0, 0, 1] for seen in policy.told[:6]] == [0, 100, 200, 300, 300, 300]


def test_a_slot_that_moves_is_examined_less() -> None:
    """Half of the impressions at 0.5, half at 0.1."""
    policy = _Always(0)
    regret = _play(policy, conditions=replace(CALM, examination=(0.5, 0.1)))
    last = policy.told[-1]
    assert last.impressions[0, 0, 0] == 900
    assert last.examined[0, 0, 0] == pytest.approx(500 * 0.5 + 400 * 0.1)
    assert regret[0, 1] == pytest.approx((200 * 0.5 + 50 * 0.1) * 0.5)


def test_when_rates_turn_the_best_arm_becomes_the_worst() -> None:
    """At the update that passes the half."""
    regret = _play(_Always(0), conditions=replace(CALM, turn=True))
    assert regret[0].tolist() == [pytest.approx(50), pytest.approx(100)]


def test_what_was_seen_fades_by_its_half_life() -> None:
    """With a half-life of one batch: 100, 150, 175."""
    policy = _Always(0)
    _play(policy, conditions=replace(CALM, half_life=100))
    shown = [seen.impressions[0, 0, 0] for seen in policy.told[:4]]
    assert shown == [0, 100, 150, 175]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_shows_what_is_asked_for(name: str) -> None:
    """Each impression once, whatever was seen."""
    rng = np.random.default_rng(0)
    policy = POLICIES[name]()
    shown = rng.integers(0, 50, (2, 3, 4)).astype(float)
    shown[0, 0] = 0
    seen = Seen(shown, shown, rng.binomial(shown.astype(int), 0.1).astype(float), shown)
    rounds = np.array([100, 100, 37])
    allocated = policy.allocate(seen, rounds, rng)
    assert (allocated >= 0).all()
    assert allocated.sum(axis=2).tolist() == [rounds.tolist()] * 2


def test_the_bandit_beats_the_textbook_where_clicks_are_rare() -> None:
    """60 experiments in 6 weeks, 10 seeds: less regret than UCB1 and than a flat prior.

    Over 20 other logs the ratios stayed below 0.44 and 0.83.
    """
    rng = np.random.default_rng(11)
    means = rng.beta(2, 100, (60, 1))
    rates = rng.beta(means * 300, (1 - means) * 300, (60, 4))
    log = [
        Problems(week, np.arange(10) + 10 * week, rates[10 * week :][:10], np.full(10, 4_000))
        for week in range(6)
    ]
    regret = {
        name: _play(POLICIES[name](), log, 10).sum(axis=1).mean()
        for name in ("ours", "ucb1", "thompson_beta_1_1")
    }
    assert regret["ours"] < 0.55 * regret["ucb1"]
    assert regret["ours"] < 0.9 * regret["thompson_beta_1_1"]


# --- reading ---


def _write(path: Path, arms: list[tuple[int, str, int, int]]) -> Path:
    names = ("ts", "test_id", "impressions", "clicks")
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(dict(zip(names, arm, strict=True))) + "\n" for arm in arms)
    return path


def test_experiments_are_read_in_the_order_of_weeks(tmp_path: Path) -> None:
    """Of a week, those with as many arms together; the arms of an experiment need not adjoin."""
    arms = [
        (WEEK_MS, "late", 100, 5),
        (0, "small", 40, 4),
        (0, "large", 900, 9),
        (WEEK_MS, "late", 100, 1),
        (0, "small", 60, 3),
        (0, "large", 900, 0),
        (0, "three", 10, 1),
        (0, "three", 10, 1),
        (0, "three", 10, 1),
    ]
    log = read_experiments(_write(tmp_path / "arms.gz", arms), 1_000)
    assert [problems.week for problems in log] == [0, 0, 1]
    assert log[0].rates.tolist() == [[0.01, 0], [0.1, 0.05]]
    assert log[0].horizons.tolist() == [1_000, 100]
    assert [problems.numbers.tolist() for problems in log] == [[0, 1], [2], [3]]


def test_the_real_log_has_all_its_experiments(data_dir: Path) -> None:
    """As its README counts them."""
    log = read_experiments(data_dir / "upworthy.arms.jsonl.gz", 10**9)
    assert sum(len(problems.numbers) for problems in log) == 4_873
    assert sum(problems.rates.size for problems in log) == 22_666
    assert all((np.diff(problems.horizons) <= 0).all() for problems in log)
