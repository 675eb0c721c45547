"""Whoever looks one event ahead answers otherwise when the future is another one."""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.check import load_bundle
from online_models.artifacts.tiny import write_tiny_bundle
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog, build_log
from online_models.training.slates import Slates
from replay.evaluate import another_future
from replay.evaluate.another_future import (
    CLICKS,
    FEATURES,
    Witness,
    compare_futures,
    redrawn_future,
    request_at,
)
from replay.evaluate.baselines import baselines
from replay.evaluate.check import Check
from replay.evaluate.click_baselines import ItemClickRate, click_baselines
from replay.evaluate.request import Contestant, Request, Rows
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.lived import LivedLog, Scored
from replay.world import Plan

AT = 900


@pytest.fixture(scope="module")
def invented() -> Any:
    """A log of two days, and its events; half of the items are in no catalogue."""
    plan = Plan(users=80, items=60, days=2)
    world, rows = generate(plan)
    events, items = list(to_events(plan, rows)), to_items(plan, world)
    return build_log(events, items[::2]), events


class Looking:
    """A contestant that looks some way ahead, and lists what it saw before all else."""

    def __init__(self, log: TrainingLog, ahead: int) -> None:
        self.name = f"{ahead} ahead"
        self._log = log
        self._ahead = ahead

    def learn(self, end: int) -> None:
        pass

    def recommend(self, request: Request) -> Rows:
        seen = self._log.item[request.asked_at + self._ahead]
        rest = np.setdiff1d(np.flatnonzero(request.offered), seen)
        return np.concatenate([[seen], rest])[:20]


class Counting:
    """A contestant that ranks by how often items occur in the whole log."""

    name = "counting"

    def __init__(self, log: TrainingLog) -> None:
        self._counts = np.bincount(log.item, minlength=len(log.items))

    def learn(self, end: int) -> None:
        pass

    def recommend(self, request: Request) -> Rows:
        offered = np.flatnonzero(request.offered)
        return np.asarray(offered[np.argsort(-self._counts[offered], kind="stable")][:20])


def others(log: TrainingLog) -> Sequence[Contestant]:
    """One that is honest, and three that are not."""
    return [Looking(log, -1), Looking(log, 0), Looking(log, 5), Counting(log)]


def compared(invented: Any, contestants: Any, at: int = AT) -> Check:
    """Return the check of the invented log at one moment."""
    log, events = invented
    false = redrawn_future(log, events, at, np.random.default_rng(1))
    return compare_futures(
        Witness(log, events, Settings(), contestants),
        Witness(*false, Settings(), contestants),
        at,
    )


def test_the_past_stays_and_the_future_does_not(invented: Any) -> None:
    """Times keep their places; who acts and what is done are drawn from the future itself."""
    log, events = invented
    _, others_events = redrawn_future(log, events, AT, np.random.default_rng(1))
    assert others_events[:AT] == events[:AT]
    assert [event.ts_ms for event in others_events] == log.ts_ms.tolist()
    assert {each.user_id for each in others_events} <= {each.user_id for each in events}
    assert {(each.item_id, each.type) for each in others_events[AT:]} <= {
        (each.item_id, each.type) for each in events[AT:]
    }
    counts, theirs = (Counter(each.item_id for each in row[AT:]) for row in (events, others_events))
    assert counts != theirs
    moved = sum(a.item_id != b.item_id for a, b in zip(events, others_events, strict=True))
    assert moved > (len(log) - AT) / 2


def test_the_arrays_say_what_the_events_say(invented: Any) -> None:
    """Items that do not exist yet have other rows, and the rest have their own."""
    log, events = invented
    other, others_events = redrawn_future(log, events, AT, np.random.default_rng(1))
    item_ids = [other.items[row].item_id for row in other.item.tolist()]
    assert item_ids == [event.item_id for event in others_events]
    number = {event.user_id: user for event, user in zip(events, log.user.tolist(), strict=True)}
    assert other.user.tolist() == [number[event.user_id] for event in others_events]
    for row, item in enumerate(other.items):
        assert other.created_ts_ms[row] == (item.created_ts_ms or 0)
        assert (
            other.hashes[row]
            == log.hashes[[each.item_id for each in log.items].index(item.item_id)]
        )
    same = [a == b for a, b in zip(log.items, other.items, strict=True)]
    assert all(same[row] for row in np.flatnonzero(log.exists_from() <= AT))
    assert not all(same)


def test_the_product_and_the_baselines_know_nothing(invented: Any) -> None:
    """Not one answer differs, and not one bit of a feature."""
    check = compared(invented, baselines)
    assert check.passed, check.found
    assert check.figures["users"] == another_future.USERS
    log = invented[0]
    of_clicks = click_baselines(log, Slates(log, Histories(log)))
    assert check.figures["contestants"] == 1 + len(baselines(invented[0])) + len(of_clicks)


def test_whoever_looks_ahead_is_named(invented: Any) -> None:
    """One event suffices; so does a count over the whole log."""
    check = compared(invented, others)
    assert check.passed is False
    assert check.figures["differ"] == 3
    for name in ("0 ahead in", "5 ahead in", "counting in"):
        assert name in check.found
    assert "-1 ahead" not in check.found


def test_a_product_that_lives_too_far_is_caught(
    invented: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a few events."""

    class Hasty(LivedLog):
        def live(self, end: int) -> None:
            super().live(end + 20)

    monkeypatch.setattr(another_future, "LivedLog", Hasty)
    check = compared(invented, lambda _log: [])
    assert check.passed is False
    assert FEATURES in check.found


@pytest.mark.parametrize("ahead", [0, 1])
def test_scores_of_a_slate_that_know_the_future_are_caught(
    invented: Any, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """Though the lists and the features are honest; to have seen the past alone is no crime."""

    class Peeking(LivedLog):
        def rank(self, event: int, rows: Rows) -> Scored:
            seen = self.log.item[: self.now + 300 * ahead]
            counts = np.bincount(seen, minlength=len(self.log.items))
            return Scored(counts[rows].astype(np.float64), by_ranker=True)

    monkeypatch.setattr(another_future, "LivedLog", Peeking)
    check = compared(invented, lambda _log: [])
    assert check.passed is not bool(ahead)
    assert (CLICKS in check.found) is bool(ahead)
    assert FEATURES not in check.found


def test_a_click_rate_that_knows_the_future_is_caught(
    invented: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name."""
    learn = ItemClickRate.learn
    monkeypatch.setattr(ItemClickRate, "learn", lambda rate, end: learn(rate, end + 300))
    check = compared(invented, lambda _log: [])
    assert check.passed is False
    assert "item click rate in" in check.found


def test_models_that_know_the_future_are_caught(invented: Any, tmp_path: Path) -> None:
    """Trained on the events before the moment they say nothing of it; one more is too many."""
    log, events = invented

    def trained(until: int) -> Check:
        def train(log: TrainingLog, end: int) -> Bundle:
            past = [log.items[row].item_id for row in log.item[: end + until].tolist()]
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            items = [log.items[row] for row in np.flatnonzero(log.exists_from() <= end)]
            write_tiny_bundle(folder, items, seed=crc32("".join(past).encode()))
            return load_bundle(folder)

        def witness(log: TrainingLog, events: list[Event]) -> Witness:
            return Witness(log, events, Settings(), lambda _log: [], train)

        false = redrawn_future(log, events, AT, np.random.default_rng(1))
        return compare_futures(witness(log, events), witness(*false), AT)

    numbers = count()
    assert trained(until=0).passed
    assert trained(until=1).passed is False


def test_nobody_is_asked_behind_the_last_event(invented: Any) -> None:
    """A check without users has not passed."""
    log, events = invented
    real = Witness(log, events, Settings(), lambda _log: [])
    false = Witness(log, events, Settings(), lambda _log: [])
    assert compare_futures(real, false, len(log)).passed is None


def test_a_request_at_a_moment_is_that_of_the_judge(invented: Any) -> None:
    """For the very event that is asked for there."""
    log, _ = invented
    histories = Histories(log)
    requests = histories.requests(AT, len(log), 40)
    for event in requests[histories.asked_at[requests] > 0].tolist():
        at, user = int(histories.asked_at[event]), int(log.user[event])
        batch = histories.before(np.array([event]))
        mask = batch.mask[0]
        offered = histories.available(event)
        offered[batch.items[0][mask]] = False
        request = request_at(log, at, user)
        assert request.items.tolist() == batch.items[0][mask].tolist()
        assert request.types.tolist() == batch.types[0][mask].tolist()
        assert request.ages_s.tolist() == batch.ages_s[0][mask].tolist()
        assert request.offered.tolist() == offered.tolist()
