"""Counting what the funnel did for a person: once for each request, by whoever answers it.

Law: the funnel itself counts nothing, so that an evaluation, a benchmark or a test that runs it
moves no counter of an installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from freshet.core.metrics import (
    CANDIDATES,
    RECOMMENDATIONS,
    SLOTS_SERVED,
    STAGE_DURATION,
    STAGE_FAILURES,
)
from freshet.core.settings import Settings
from online_models.features import SOURCES
from serving.answer import Answer
from serving.stages import BUDGETS, Stages

# Found once: looking a label up costs more than counting.
_DURATIONS: Final = {name: STAGE_DURATION.labels(name) for name in ("hydrate", *BUDGETS)}
_CANDIDATES: Final = {name: CANDIDATES.labels(name) for name in SOURCES}
_SLOTS: Final = {name: SLOTS_SERVED.labels(name) for name in SOURCES}


@contextmanager
def counted_stages(settings: Settings) -> Iterator[Stages]:
    """Hand out the record of a request, and count its stages when it ends, however it ends."""
    stages = Stages(settings.deadline_ms)
    try:
        yield stages
    finally:
        for name, seconds in stages.durations:
            _DURATIONS[name].observe(seconds)
        for name, reason in stages.failures:
            STAGE_FAILURES.labels(name, reason).inc()
        for name, number in stages.candidates.items():
            _CANDIDATES[name].inc(number)


def count_answer(answer: Answer) -> None:
    """Count an answer and its slots."""
    RECOMMENDATIONS.labels(answer.quality).inc()
    for item in answer.items:
        _SLOTS[item.source].inc()
