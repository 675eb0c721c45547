"""Checks that nobody in a judged run knows what is still to come.

Law: a check is a measurement that can fail. It is made on the log that is judged, by the parties
that are judged, at a fraction of the cost; one that could not be made does not count as passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog
from replay.evaluate.another_future import (
    Contestants,
    Train,
    Witness,
    compare_futures,
    redrawn_future,
)
from replay.evaluate.check import Check
from replay.evaluate.creation_dates import check_creation_dates
from replay.evaluate.random_labels import Fit, check_random_labels, relabelled
from replay.evaluate.request import LIST_LENGTH
from replay.evaluate.state_times import LateTimes
from replay.exposing import exposure_of
from replay.lived import LivedLog

MOMENTS: Final = (0.1, 0.2)  # shares of the log, where the future is drawn anew
EXPOSURES: Final = 600

_FIRST_EXPOSURE: Final = 0.02  # share of the log


def check_leaks(
    log: TrainingLog,
    events: Sequence[Event],
    settings: Settings,
    others: Contestants,
    train: Train | None = None,
    fit: Fit | None = None,
    seed: int = 0,
) -> list[Check]:
    """Return all checks of a log and of those who are judged on it.

    Args:
        log: the log as arrays.
        events: its events, in the same order.
        settings: of the product.
        others: who else is judged.
        train: trains what the product serves with; without it, it serves without models.
        fit: trains a ranker; without it, random labels are not checked.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    moments = sorted({log.cut(share) for share in MOMENTS})
    checks = [
        compare_futures(
            Witness(log, events, settings, others, train),
            Witness(*redrawn_future(log, events, moment, rng), settings, others, train),
            moment,
        )
        for moment in moments
    ]
    times, exposures = _look_at_requests(log, events, settings, moments[-1])
    checks.append(times.check())
    checks.append(check_creation_dates(log, log.cut(_FIRST_EXPOSURE)))
    if fit is not None:
        checks.append(check_random_labels(relabelled(exposures, rng), fit, rng))
    return checks


def sentences(checks: Iterable[Check]) -> list[str]:
    """Return what was checked as sentences for the report."""
    words = {True: "passed", False: "FAILED", None: "could not be checked"}
    return [f"Leak check, {each.name}: {words[each.passed]}. {each.found}" for each in checks]


def _look_at_requests(
    log: TrainingLog, events: Sequence[Event], settings: Settings, end: int
) -> tuple[LateTimes, list[Exposure]]:
    """Return the times behind requests before an event, and the requests as exposures."""
    lived, histories, times = LivedLog(log, events, settings), Histories(log), LateTimes()
    exposures = []
    for event in histories.requests(log.cut(_FIRST_EXPOSURE), end, EXPOSURES).tolist():
        asked_at = int(histories.asked_at[event])
        lived.live(asked_at)
        asked = lived.ask(event, LIST_LENGTH)
        times.look(asked, int(log.ts_ms[asked_at]))
        exposures.append(exposure_of(lived, event, asked))
    lived.close()
    return times, exposures
