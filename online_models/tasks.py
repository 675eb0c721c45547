"""What the ranker predicts of a candidate: one definition for labels, graphs and scores.

Law: a task is a column, in the order of `TASKS`, wherever there is one for each.

- The click counts on everything that was shown.
- What follows a click counts on what was clicked, and is predicted given a click:
  P(task) = P(click) P(task | click) (Ma et al. 2018, "Entire space multi-task model", equation 2).
- `negative` counts on what was responded to, by a click or by a rejection: its column is the share
  of the responses that reject, which lowers a score (see `serving.ranking.task_scores`). So it
  means the same where a log holds impressions and where it holds none.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import CLICK, PREFERENCE

TASKS: Final = ("click", "dwell", "conversion", "negative")
"""It was acted on; it was stayed with for `DWELL_S`; one of `CONVERSION` was done with it; it was
rejected: hidden, disliked or reported."""

COLUMNS: Final = (*TASKS, "slate")
"""What a graph answers: the probability of each task, and how an item does within a slate.

What comes next of hundreds of candidates and what of one slate is clicked are two questions. The
last column answers the second: in the items of one slate its log-odds are those of a click, but for
a constant that all of them share. Where a log teaches no order of slates, it is the click's.
"""

SLATE: Final = COLUMNS.index("slate")

NEGATIVE: Final = TASKS.index("negative")

GIVEN_CLICK: Final = np.array([task in ("dwell", "conversion") for task in TASKS])
"""(T,) bool: the tasks that are predicted given a click."""

DWELL_S: Final = 30.0
"""From this time on a stay tells satisfaction (Fox et al. 2005, "Evaluating implicit measures")."""

CONVERSION: Final = PREFERENCE[CLICK] < PREFERENCE
"""(n_types,) bool: what says more than a click, as the schema weighs it: like, cart, purchase,
share, follow.

A rating weighs as a click does, whatever its stars: scales differ from log to log.
"""


def counted(labels: NDArray[np.bool_]) -> NDArray[Any]:
    """Return (n, T) bool: on which rows each task counts, by what became of them.

    Args:
        labels: (n, T) bool.

    >>> counted(np.array([[True, False, False, False], [False, False, False, False]])).tolist()
    [[True, True, True, True], [True, False, False, False]]
    """
    clicked, rejected = labels[:, :1], labels[:, NEGATIVE:]
    rows = np.where(GIVEN_CLICK, clicked, True)
    rows[:, NEGATIVE:] = clicked | rejected
    return rows
