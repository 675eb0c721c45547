"""Creation dates of a catalogue that lie behind the first event of their item: from the future."""

from __future__ import annotations

from typing import Final

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.check import Check

NAMED: Final = 5  # items in the sentence


def check_creation_dates(log: TrainingLog, start: int) -> Check:
    """Return whether no item is said to be created after people had acted on it.

    A request in between would be answered with a date that lies in its future. Dates that had
    passed before anything was learned or judged do no harm.

    Args:
        log: the log.
        start: the first event behind which a date counts.
    """
    acted_on, first = np.unique(log.item, return_index=True)
    created = log.created_ts_ms[acted_on]
    late_ms = created - log.ts_ms[first]
    late = np.flatnonzero((created > 0) & (late_ms > 0) & (created > log.ts_ms[start]))
    late = late[np.argsort(-late_ms[late], kind="stable")]
    dated = int((log.created_ts_ms > 0).sum())
    name, figures = "creation dates", {"items": float(dated), "late": float(len(late))}
    if not dated:
        return Check(name, True, "No item has a creation date.", figures)
    if not len(late):
        found = f"None of {dated:,} dated items was acted on before it was created."
        return Check(name, True, found, figures)
    named = [log.items[row].item_id for row in acted_on[late[:NAMED]].tolist()]
    more = ", ..." if len(late) > NAMED else "."
    found = (
        f"{len(late):,} of {dated:,} dated items were acted on before created_ts_ms, by up to "
        f"{_length(late_ms[late[0]])}: {', '.join(named)}{more} Correct created_ts_ms "
        "of these items in the items file, or leave it out, and judge again."
    )
    return Check(name, False, found, figures)


def _length(ms: float) -> str:
    """Return a length of time in words.

    >>> _length(78_826), _length(7_200_000)
    ('78.8 s', '2.0 h')
    """
    return f"{ms / 1_000:,.1f} s" if ms < 3_600_000 else f"{ms / 3_600_000:,.1f} h"
