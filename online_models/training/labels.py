"""What came of a request: the labels of the tasks, read from what the log holds after it.

Law: a label is of the time after the request. It may be learned from once it has happened, and is
never a feature.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from freshet.core.events.schema import REJECTION
from online_models.tasks import CONVERSION, DWELL_S
from online_models.training.log import TrainingLog

NEVER: Final = -1

_WITHIN_MS: Final = 1_800_000  # what is done with an item later did not come from this click


def followed_at(log: TrainingLog, event: int) -> tuple[int, ...]:
    """Return (T - 1,) the event with which each further task happened to a target.

    What counts is what the same user did with the same item, from the target on.

    Args:
        log: the log.
        event: the target.

    Returns:
        In the order of `TASKS[1:]`: the event that filled `DWELL_S`, the first one of
        `CONVERSION` and the first one of `REJECTION`; `NEVER` where there was none.
    """
    end = int(np.searchsorted(log.ts_ms, log.ts_ms[event] + _WITHIN_MS, side="right"))
    same = (log.user[event:end] == log.user[event]) & (log.item[event:end] == log.item[event])
    mine = event + np.flatnonzero(same)
    dwelt = np.cumsum(log.dwell_s[mine]) >= DWELL_S
    kinds = log.kind[mine]
    happened = (dwelt, CONVERSION[kinds], REJECTION[kinds])
    return tuple(int(mine[each.argmax()]) if each.any() else NEVER for each in happened)
