"""What a judged run leaves behind: who recommended what, and what was right."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Playing
from replay.evaluate.impressions import Impressions
from replay.evaluate.rejections import Rejections


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answers to n requests, in the order of time.

    Attributes:
        name: of the log.
        log: the log.
        events: (n,) the event that each request was to foresee.
        targets: (n,) row of its item; a miss for all when the item did not exist yet.
        history_lengths: (n,) interactions of the user before, at most `HISTORY_LENGTH`.
        target_counts: (n,) interactions with the target before the request, by anyone.
        lists: by contestant, (n, LIST_LENGTH) rows, best first, -1 behind the end.
        seconds: by contestant, how long learning and answering took.
        baselines: the contestants that are fixed methods, to be beaten.
        facts: what else there is to know of the run, by name.
        playing: by contestant, how much of its lists was its own; those that say it.
        impressions: what was foreseen of the clicks on what people were shown; None where the log
            holds no impressions, or clicks on none or all of them.
        rejections: what was listed before rejections; None where the log holds none.
    """

    name: str
    log: TrainingLog
    events: NDArray[np.int64]
    targets: NDArray[np.int64]
    history_lengths: NDArray[np.int64]
    target_counts: NDArray[np.int64]
    lists: dict[str, NDArray[np.int64]]
    seconds: dict[str, float]
    baselines: list[str]
    facts: dict[str, float] = field(default_factory=dict)
    playing: dict[str, Playing] = field(default_factory=dict)
    impressions: Impressions | None = None
    rejections: Rejections | None = None

    def played(self, contestant: str) -> bool:
        """Return whether any list of a contestant was its own."""
        return contestant not in self.playing or self.playing[contestant].played

    def ranks(self, contestant: str) -> NDArray[np.int64]:
        """Return the (n,) places of the targets in a contestant's lists, from 0; -1 = not there."""
        hit = self.lists[contestant] == self.targets[:, None]
        return np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
