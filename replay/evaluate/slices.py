"""Parts of the requests that are looked at on their own: new people, new items, times of day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from replay.evaluate.outcome import Outcome

Mask = NDArray[np.bool_]

COLD_USER_EVENTS: Final = 3  # a user with no more history is cold
COLD_ITEM_INTERACTIONS: Final = 10  # an item with no more interactions is cold
HEAD_SHARE: Final = 0.2  # of the requests: those whose targets are the most popular

_HISTORIES: Final = {"0": (0, 0), "1": (1, 1), "2-4": (2, 4), "5+": (5, np.inf)}
_HOURS: Final = {"0-6 h": (0, 5), "6-12 h": (6, 11), "12-18 h": (12, 17), "18-24 h": (18, 23)}
_HOUR_MS: Final = 3_600_000


def slices_of(outcome: Outcome) -> Iterator[tuple[str, str, Mask]]:
    """Yield group, name and (n,) mask of each slice that holds some of the requests.

    The slices of a group are disjoint and hold all requests between them; a slice that holds all
    of them by itself says nothing new.
    """
    history, counts = outcome.history_lengths, outcome.target_counts
    hours = outcome.log.ts_ms[outcome.events] // _HOUR_MS % 24
    head = counts > np.quantile(counts, 1 - HEAD_SHARE, method="lower")
    masks = [
        ("user", "cold", history <= COLD_USER_EVENTS),
        ("user", "warm", history > COLD_USER_EVENTS),
        ("item", "cold", counts <= COLD_ITEM_INTERACTIONS),
        ("item", "warm", counts > COLD_ITEM_INTERACTIONS),
        ("popularity", "head", head),
        ("popularity", "tail", ~head),
        *(("history", name, _within(history, *span)) for name, span in _HISTORIES.items()),
        *(("hour, UTC", name, _within(hours, *span)) for name, span in _HOURS.items()),
    ]
    yield from (each for each in masks if each[2].any() and not each[2].all())


def _within(values: NDArray[np.int64], least: float, most: float) -> Mask:
    return (values >= least) & (values <= most)
