"""Recovery: an event of every partition that came after the damage is in both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from freshet.core.errors import ServiceError
from freshet.core.progress import FoldProgress
from replay.chaos.plan import Strike
from replay.chaos.recovery import LONGEST_S, Recoveries

STRIKE = Strike(1.0, "bug")
PARTITIONS = 2


class Installation:
    """Both folds and their logs in numbers, and a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ends = [10, 10]
        self.applied = [10, 10]
        self.item_lag = 0
        self.away = False
        self.connected = 0

    def connect(self) -> Any:
        self.connected += 1
        return self

    def read(self, fold: str) -> FoldProgress:
        if self.away:
            raise ServiceError("redis", "is away")
        if fold == "users":
            fields: list[dict[str, int]] = [{"next": at} for at in self.applied]
            return FoldProgress(fields, np.zeros(PARTITIONS, np.int64), np.array(self.ends))
        fields = [{"next": 5, "source:0": 3, "source:1": 3}, {"next": 5}]
        ends = np.array([5 + self.item_lag, 5])
        return FoldProgress(fields, np.zeros(PARTITIONS, np.int64), ends)

    def close(self) -> None:
        """Nothing to close."""

    def recoveries(self) -> Recoveries:
        return Recoveries(self.connect, self._now)

    def _now(self) -> float:
        return self.now_s


def struck(
    then: Callable[[Installation], None] = lambda _: None,
) -> tuple[Installation, Recoveries]:
    """An installation that was struck at 1 s and looked at once."""
    installation = Installation()
    recoveries = installation.recoveries()
    installation.now_s = 1.0
    recoveries.note(STRIKE)
    then(installation)
    recoveries.look()
    return installation, recoveries


def test_without_a_strike_there_is_nothing_to_recover_from() -> None:
    """And looking does no harm."""
    recoveries = Installation().recoveries()
    recoveries.look()
    assert (recoveries.wounds, recoveries.is_open, recoveries.overdue) == ([], False, False)


def test_standing_still_without_lag_is_no_recovery() -> None:
    """Nothing may have been sent, because everything was down."""
    _, recoveries = struck()
    for _ in range(3):
        recoveries.look()
    assert recoveries.is_open
    assert recoveries.lag == 0


def test_a_strike_is_over_when_every_partition_has_gone_on() -> None:
    """One partition that goes on is not enough, and neither is one side."""
    installation, recoveries = struck()
    installation.now_s = 3.0
    installation.ends, installation.applied = [11, 11], [11, 10]
    recoveries.look()
    assert recoveries.is_open
    installation.applied, installation.item_lag = [11, 11], 1
    recoveries.look()
    assert recoveries.is_open
    assert recoveries.lag == 16  # the items stand at offset 3 of both sources
    installation.item_lag = 0
    recoveries.look()
    assert not recoveries.is_open
    assert recoveries.wounds[0].recovery_s == 2.0


def test_a_service_that_is_away_is_asked_anew_and_the_wound_stays_open() -> None:
    """With another client each time."""

    def leave(installation: Installation) -> None:
        installation.away = True

    installation, recoveries = struck(leave)
    recoveries.look()
    assert recoveries.is_open
    assert installation.connected == 2
    installation.away = False
    recoveries.look()
    installation.now_s, installation.ends, installation.applied = 9.0, [12, 12], [12, 12]
    recoveries.look()
    assert recoveries.wounds[0].recovery_s == 8.0


def test_the_next_strike_overtakes_one_that_is_still_felt() -> None:
    """What is felt then is the last one's; a strike that was over stays as it was."""
    installation, recoveries = struck()
    recoveries.note(STRIKE)
    assert [wound.overtaken for wound in recoveries.wounds] == [True, False]
    recoveries.look()
    installation.ends, installation.applied = [11, 11], [11, 11]
    recoveries.look()
    recoveries.note(STRIKE)
    assert [wound.overtaken for wound in recoveries.wounds] == [True, False, False]
    assert [wound.recovery_s for wound in recoveries.wounds] == [None, 0.0, None]


def test_a_strike_is_overdue_when_it_is_felt_for_too_long() -> None:
    """Then the run goes on without waiting."""
    installation, recoveries = struck()
    installation.now_s = 1.0 + LONGEST_S
    assert not recoveries.overdue
    installation.now_s += 0.1
    assert recoveries.overdue
