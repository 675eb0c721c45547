"""Stages: budgets, failure policies and counts."""

from __future__ import annotations

import pytest

from online_models.features import SOURCES
from serving.stages import BUDGETS, ENDS, Stages


def test_the_budgets_fit_into_the_deadline() -> None:
    """Together they are the whole of it."""
    assert sum(BUDGETS.values()) == pytest.approx(1.0)
    assert list(ENDS.values()) == sorted(ENDS.values())


def test_every_source_that_may_fail_has_a_budget() -> None:
    """In the order in which they are asked; popular is never left out."""
    assert [name for name in BUDGETS if name in SOURCES] == list(SOURCES[:-1])
    assert SOURCES[-1] == "popular"


def test_a_stage_that_works_is_not_degraded() -> None:
    """Its value is passed on."""
    stages = Stages(100)
    assert stages.run("rank", lambda: 7, otherwise=lambda: 0) == 7
    assert stages.degraded == []


def test_a_stage_that_fails_is_noted_each_time_and_named_once() -> None:
    """The request goes on with what there is instead."""
    stages = Stages(100)
    assert stages.run("rank", lambda: 1 // 0, otherwise=lambda: 5) == 5
    assert stages.run("rank", lambda: 1 // 0, otherwise=lambda: 5) == 5
    assert stages.degraded == ["rank"]
    assert stages.failures == [("rank", "error")] * 2
    assert [name for name, _ in stages.durations] == ["rank"] * 2


def test_a_stage_without_time_is_left_out() -> None:
    """It is not run at all, and noted as out of time."""
    seconds = iter([0.0, ENDS["rank"] * 0.1 + 0.001])
    stages = Stages(100, now=lambda: next(seconds))
    assert stages.run("rank", lambda: pytest.fail("was run"), otherwise=lambda: 3) == 3
    assert stages.degraded == ["rank"]
    assert stages.failures == [("rank", "deadline")]
    assert stages.durations == []


def test_a_restarted_budget_forgets_a_wait_that_was_wished_for() -> None:
    """The time of the answer still counts from its start."""
    now = [0.0]
    stages = Stages(100, now=lambda: now[0])
    now[0] = 0.25
    stages.restart_budget()
    assert stages.run("session", lambda: 1, otherwise=lambda: 0) == 1
    assert stages.took_ms == 250


async def test_an_awaited_stage_that_fails_names_what_is_missing() -> None:
    """The word is what the answer lacks, not the stage."""

    async def read() -> int:
        raise OSError("away")

    stages = Stages(100)
    assert await stages.wait("hydrate", read, lambda: 2, word="user_state") == 2
    assert stages.degraded == ["user_state"]
    assert stages.failures == [("hydrate", "error")]
