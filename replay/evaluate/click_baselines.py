"""Simple methods that say which of the items shown will be clicked on: counts, and no models.

Law: a count holds the events before the request, and nothing else.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.training.log import TARGET, TrainingLog
from online_models.training.slates import Slates
from replay.evaluate.baselines.popularity import RATE_STRENGTH
from replay.evaluate.item_counts import ItemCounts
from replay.evaluate.request import Rows

RECENT_VISITS: Final = (500, 2_000, 10_000)
RECENT_IMPRESSIONS: Final = (2_000, 20_000)


class ClickBaseline(Protocol):
    """Who scores items that others chose."""

    @property
    def name(self) -> str:
        """Return the name that the report uses."""
        ...

    @property
    def is_probability(self) -> bool:
        """Return whether a score is the probability of a click, and not just an order."""
        ...

    def learn(self, end: int) -> None:
        """Learn the events of the log before `end`; `end` never falls."""
        ...

    def scores(self, items: Rows) -> NDArray[np.float64]:
        """Return the (k,) scores of items, bigger where a click is likelier."""
        ...


class ItemClickRate:
    """Clicks over impressions of the item, drawn towards the rate of all items.

    Args:
        log: the log.
        slates: of the log.
        window: how many of the newest impressions; clicks count since the oldest. None = all.
    """

    is_probability = True

    def __init__(self, log: TrainingLog, slates: Slates, window: int | None = None) -> None:
        self.name = "item click rate" if window is None else f"item click rate, last {window:,}"
        self._windowed = window is not None
        self._impressions = ItemCounts(log, slates.impressions, window)
        self._clicks = ItemCounts(log, slates.clicks)

    def learn(self, end: int) -> None:
        """Count what was shown and clicked on before `end`."""
        self._impressions.learn(end)
        self._clicks.learn(end, self._impressions.oldest if self._windowed else 0)

    def scores(self, items: Rows) -> NDArray[np.float64]:
        """Return the (k,) smoothed rates; one half before anything was shown."""
        rate = (self._clicks.counted + 1) / (self._impressions.counted + 2)
        clicks = self._clicks.of_item[items] + RATE_STRENGTH * rate
        return np.asarray(clicks / (self._impressions.of_item[items] + RATE_STRENGTH))


class Counted:
    """How many of the newest of some events, of anyone, were about the item."""

    is_probability = False

    def __init__(self, name: str, log: TrainingLog, events: Rows, window: int | None) -> None:
        self.name = name
        self._counts = ItemCounts(log, events, window)

    def learn(self, end: int) -> None:
        """Count the events before `end`."""
        self._counts.learn(end)

    def scores(self, items: Rows) -> NDArray[np.float64]:
        """Return the (k,) counts; of equal ones, the item of the newer event is a little above."""
        return np.asarray(self._counts.of_item[items] + self._counts.recency[items])


def click_baselines(log: TrainingLog, slates: Slates) -> list[ClickBaseline]:
    """Return the baselines of a log, none of which has learned anything."""
    visits = np.flatnonzero(TARGET[log.kind])
    recent = [
        Counted(f"recent popularity, {width:,}", log, visits, width) for width in RECENT_VISITS
    ]
    shown = [
        Counted(f"shown lately, {width:,}", log, slates.impressions, width)
        for width in RECENT_IMPRESSIONS
    ]
    return [
        ItemClickRate(log, slates),
        ItemClickRate(log, slates, RECENT_IMPRESSIONS[-1]),
        Counted("popularity", log, visits, None),
        *recent,
        *shown,
    ]
