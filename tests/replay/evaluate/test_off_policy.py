"""The verdict: right on worlds whose truth is known, refused where the log cannot carry it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.core.events.schema import Event, Slate, Slot
from replay.evaluate.off_policy import (
    BIASED,
    LoggedSlots,
    cross_fitted,
    judge,
    read_slots,
    slots_of_slates,
)
from replay.evaluate.off_policy_world import make_world


def test_estimates_are_unbiased_and_intervals_hold_the_truth() -> None:
    """60 worlds, 5,000 slots each.

    The mean relative error is within four of its standard errors: a false alarm in 16,000. With
    coverage 0.95, fewer than 49 of 60 hold the truth about once in 10,000. The seeds are fixed.
    """
    errors: dict[str, list[float]] = {}
    held: dict[str, int] = {}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        world = make_world(rng, sharpness=1.0)
        verdict = judge(world.log(5_000, rng), world.target)
        assert verdict.refusal is None
        for name in ("ips", "snips", "dr"):
            found = verdict.estimates[name]
            errors.setdefault(name, []).append(found.value / world.truth - 1)
            held[name] = held.get(name, 0) + (found.low <= world.truth <= found.high)
    for name, each in errors.items():
        assert abs(np.mean(each)) < 4 * np.std(each) / np.sqrt(60)
        assert held[name] >= 49


def test_biased_estimates_come_without_an_interval() -> None:
    """It would look like knowledge."""
    rng = np.random.default_rng(0)
    world = make_world(rng, sharpness=1.0)
    estimates = judge(world.log(5_000, rng), world.target).estimates
    assert set(estimates) == BIASED | {"ips", "snips", "dr"}
    for name, found in estimates.items():
        assert np.isnan([found.low, found.high]).all() == (name in BIASED)
        assert np.isfinite(found.value)


def test_no_slot_is_explained_by_its_own_click() -> None:
    """Other clicks of one half change what is expected of the other half alone."""
    rng = np.random.default_rng(5)
    world = make_world(rng, sharpness=1.0)
    log = world.log(2_000, rng)
    mine = log.groups % 2 == 0
    other = replace(log, clicks=np.where(mine, 1 - log.clicks, log.clicks))
    for before, after in zip(
        cross_fitted(log, world.target), cross_fitted(other, world.target), strict=True
    ):
        np.testing.assert_array_equal(before[mine], after[mine])
        assert (before[~mine] != after[~mine]).all()


def test_the_logging_policy_is_worth_what_it_earned() -> None:
    """Judging it by its own log, every weight is one."""
    rng = np.random.default_rng(1)
    world = make_world(rng, sharpness=1.0)
    log = world.log(2_000, rng)
    verdict = judge(log, world.logging)
    assert (verdict.effective_rounds, verdict.largest_weight) == pytest.approx((2_000, 1))
    assert verdict.estimates["ips"].value == pytest.approx(verdict.logged.value)
    assert verdict.logged.value == pytest.approx(log.clicks.mean())


def test_few_effective_slots_are_refused() -> None:
    """It says what was found, what is needed and what to do; there is no figure."""
    rng = np.random.default_rng(2)
    world = make_world(rng, sharpness=1.0)
    verdict = judge(world.log(600, rng), world.target)
    assert verdict.estimates == {}
    assert verdict.effective_rounds < 500
    assert verdict.refusal is not None
    assert "600 slots are worth" in verdict.refusal
    assert "at least 500 are needed" in verdict.refusal


def test_a_hundredth_of_a_large_log_is_needed() -> None:
    """700 effective slots of 100,000 are too few."""
    n = 100_000
    rare = np.arange(n) < 700
    log = LoggedSlots(
        np.zeros(n, int), rare.astype(int), np.where(rare, 0.007, 0.993), np.zeros(n), np.arange(n)
    )
    verdict = judge(log, np.array([[0.0, 1.0]]))
    assert verdict.effective_rounds == pytest.approx(700)
    assert verdict.refusal is not None
    assert "at least 1,000" in verdict.refusal


def test_a_log_that_shows_no_choice_of_the_judged_policy_is_refused() -> None:
    """Enough slots, but they say nothing of the unknown item."""
    n = 4_000
    log = LoggedSlots(np.zeros(n, int), np.zeros(n, int), np.ones(n), np.zeros(n), np.arange(n))
    refusal = judge(log, np.array([[0.6, 0.4]])).refusal
    assert refusal is not None
    assert "average 0.600" in refusal


def test_false_propensities_are_found() -> None:
    """Logged twice too high."""
    rng = np.random.default_rng(4)
    world = make_world(rng, sharpness=1.0)
    log = world.log(20_000, rng)
    false = replace(log, propensities=np.minimum(2 * log.propensities, 1))
    refusal = judge(false, world.target).refusal
    assert refusal is not None
    assert "expected 1" in refusal


def test_policies_that_were_live_side_by_side(data_dir: Path) -> None:
    """The Open Bandit Dataset: refused, or an interval that holds what the other one earned."""
    path = data_dir / "obd-men-women.events.jsonl.gz"
    random, ids = read_slots(path, "random", "women")
    thompson, thompson_ids = read_slots(path, "bts", "women")
    assert len(random.items) == len(thompson.items) == 10_000
    uniform = np.full((3, len(ids)), 1 / len(ids))
    refused = judge(thompson, uniform)
    assert refused.refusal is not None
    assert refused.largest_weight > 20_000
    counts = np.zeros((3, len(ids)))
    codes = np.searchsorted(ids, thompson_ids)[thompson.items]
    np.add.at(counts, (thompson.contexts, codes), 1)
    verdict = judge(random, counts / counts.sum(axis=1, keepdims=True))
    earned = thompson.clicks.mean()
    assert verdict.refusal is None
    for name in ("ips", "snips", "dr"):
        assert verdict.estimates[name].low < earned < verdict.estimates[name].high


# --- slates ---


def _slate(request_id: str, ts_ms: int, *explored: str) -> Slate:
    slots = [
        Slot(
            item_id=item_id, position=position, score=0.0, source="popular", reason="",
            propensity=0.25 if item_id in explored else 1.0, explored=item_id in explored,
        )
        for position, item_id in enumerate("abcd")
    ]  # fmt: skip
    return Slate(
        request_id=request_id, user_id="u", ts_ms=ts_ms, policy="p", model_version="m",
        quality="full", feature_schema="f", slots=slots, features=b"",
    )  # fmt: skip


def _click(request_id: str, item_id: str) -> Event:
    return Event(
        event_id=request_id + item_id,
        type="click",
        user_id="u",
        item_id=item_id,
        ts_ms=9,
        request_id=request_id,
    )


def test_a_slate_gives_its_first_explored_slot() -> None:
    """Fixed slots have no chance in them; propensities of later ones are given the earlier ones."""
    slates = [_slate("r1", 1, "b", "d"), _slate("r2", 2, "c"), _slate("r3", 3)]
    log, ids = slots_of_slates(slates, [_click("r1", "b"), _click("r2", "a")], 10)
    assert [ids[code] for code in log.items] == ["b", "c"]
    assert log.clicks.tolist() == [1, 0]
    assert log.propensities.tolist() == [0.25, 0.25]
    assert log.contexts.tolist() == [0, 1]


def test_a_slate_that_may_yet_be_clicked_says_nothing() -> None:
    """An impression without a click is a failure only once it has matured."""
    slates = [_slate("old", 1, "b"), _slate("fresh", 9, "c")]
    log, ids = slots_of_slates(slates, [_click("fresh", "c")], 9)
    assert ids == ["b"]
    assert log.clicks.tolist() == [0]
