"""A lived log as the trainer sees it: exposures, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from online_models.artifacts.bundle import Bundle
from online_models.features import FEATURES, SOURCES
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.labels import followed_at
from online_models.training.log import TrainingLog
from online_models.training.shown import Shown
from online_models.training.slates import Slate
from replay.lived import Asked, LivedLog, Scored

_NO_LIST = 1  # nothing but the candidates is asked for


class ExposingLife:
    """Lives a log for a trainer; see `online_models.training.exposures.Life`.

    Args:
        log: the log as arrays.
        events: its events, in the same order.
        settings: of the installation.
    """

    def __init__(self, log: TrainingLog, events: Sequence[Event], settings: Settings) -> None:
        self._lived = LivedLog(log, events, settings)
        self._asked_at = Histories(log).asked_at

    def use(self, bundle: Bundle) -> None:
        """Use a bundle from now on."""
        self._lived.use(bundle)

    def expose(self, event: int) -> Exposure:
        """Return how the request behind an event is ranked."""
        self._lived.live(int(self._asked_at[event]))
        return exposure_of(self._lived, event, self._lived.ask(event, _NO_LIST))

    def show(self, slate: Slate) -> Shown:
        """Return how a slate is ranked."""
        self._lived.live(slate.asked_at)
        return shown_of(slate, self._lived.rank(slate.event, slate.items))

    def close(self) -> None:
        """End the life."""
        self._lived.close()


def exposure_of(lived: LivedLog, event: int, asked: Asked | None) -> Exposure:
    """Return a request as an exposure, with what the user did after it."""
    if asked is None or asked.ranked.features is None:
        return Exposure(
            event,
            -1,
            np.empty((0, len(FEATURES)), np.float16),
            np.empty((0, len(SOURCES)), np.int16),
            followed_at(lived.log, event),
        )
    union = asked.ranked.union
    right = np.flatnonzero(lived.log_rows(union.rows) == lived.log.item[event])
    return Exposure(
        event,
        int(right[0]) if len(right) else -1,
        asked.ranked.features.astype(np.float16),
        union.ranks.astype(np.int16),
        followed_at(lived.log, event),
    )


def shown_of(slate: Slate, ranked: Scored) -> Shown:
    """Return a slate as it was ranked, with what became of it."""
    if ranked.features is None:
        nothing = np.empty((0, len(FEATURES)), np.float16)
        return Shown(slate.closed_at, nothing, slate.labels[:0])
    offered = np.isfinite(ranked.scores)
    return Shown(slate.closed_at, ranked.features[offered], slate.labels[offered])
