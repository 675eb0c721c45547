"""State that is newer than the request that used it is found, wherever it is."""

from typing import Any

import numpy as np
import pytest

from freshet.core.settings import Settings
from online_models.training.histories import Histories
from online_models.training.log import build_log
from replay.evaluate.state_times import LateTimes, times_used
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.lived import Asked, LivedLog
from replay.world import Plan


@pytest.fixture
def asked() -> Any:
    """A request of someone with a history, and its time."""
    plan = Plan(users=80, items=60, days=2)
    world, rows = generate(plan)
    events = list(to_events(plan, rows))
    log = build_log(events, to_items(plan, world))
    histories = Histories(log)
    lived = LivedLog(log, events, Settings())
    for event in histories.requests(len(log) // 2, len(log), 50).tolist():
        at = int(histories.asked_at[event])
        lived.live(at)
        asked = lived.ask(event, 20)
        if histories.before(np.array([event])).mask.sum() > 3:
            break
    lived.close()
    return asked, int(log.ts_ms[at])


def late(asked: Asked | None, now_ms: int) -> LateTimes:
    """Return what is found late of one request."""
    times = LateTimes()
    times.look(asked, now_ms)
    return times


def test_a_lived_log_holds_nothing_new(asked: Any) -> None:
    """Everything has a time, and none is later than the request."""
    state, now_ms = asked
    check = late(state, now_ms).check()
    assert check.passed, check.found
    newest = dict(times_used(state))
    assert min(newest.values()) > 0
    assert max(newest.values()) <= now_ms


@pytest.mark.parametrize("column", ["last_ts_ms", "first_ts_ms", "rates_ts_ms", "created_ts_ms"])
def test_an_item_of_the_future_is_found(asked: Any, column: str) -> None:
    """In any row that is in use, by any of its times."""
    state, now_ms = asked
    table = state.moment.table
    row = int(np.flatnonzero(table.offered[: table.size])[-1])
    getattr(table, column)[row] = now_ms + 1_500
    check = late(state, now_ms).check()
    assert check.passed is False
    assert "by up to 1.500 s" in check.found
    assert check.figures["late"] == 1


def test_a_user_of_the_future_is_found(asked: Any) -> None:
    """The record was read too late; what its history is reckoned from is late as well."""
    state, now_ms = asked
    state.moment.user.record["last_ts_ms"] = now_ms + 60_000
    check = late(state, now_ms).check()
    assert check.passed is False
    assert "the newest event of the user by up to 60.000 s" in check.found


def test_a_clock_that_is_fast_is_found(asked: Any) -> None:
    """All is older than the state's own clock, but not than the request."""
    state, now_ms = asked
    assert late(state, now_ms - 86_400_000).check().figures["late"] >= 3


def test_nothing_looked_at_is_nothing_passed() -> None:
    """Also when the product had nothing to answer."""
    assert LateTimes().check().passed is None
    assert late(None, 0).check().passed is None
