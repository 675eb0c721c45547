"""Simple methods that say which of the items shown will be clicked on: counts, and no models.

Law: a count holds the events before the request, and nothing else.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.training.log import TARGET, TrainingLog
from online_models.training.slates import Slates
from replay.evaluate.item_counts import ItemCounts
from replay.evaluate.request import Rows

RATE_STRENGTH: Final = 20.0  # impressions that the rate of all items weighs in that of one
RECENT_VISITS: Final = 2_000


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
    """Clicks over impressions of the item so far, drawn towards the rate of all items."""

    name = "item click rate"
    is_probability = True

    def __init__(self, log: TrainingLog, slates: Slates) -> None:
        self._impressions = ItemCounts(log, slates.impressions)
        self._clicks = ItemCounts(log, slates.clicks)

    def learn(self, end: int) -> None:
        """Count what was shown and clicked on before `end`."""
        self._impressions.learn(end)
        self._clicks.learn(end)

    def scores(self, items: Rows) -> NDArray[np.float64]:
        """Return the (k,) smoothed rates; one half before anything was shown."""
        rate = (self._clicks.learned + 1) / (self._impressions.learned + 2)
        clicks = self._clicks.of_item[items] + RATE_STRENGTH * rate
        return np.asarray(clicks / (self._impressions.of_item[items] + RATE_STRENGTH))


class RecentPopularity:
    """How many of the last visits, of anyone, were to the item."""

    name = "recent popularity"
    is_probability = False

    def __init__(self, log: TrainingLog) -> None:
        self._visits = ItemCounts(log, np.flatnonzero(TARGET[log.kind]), RECENT_VISITS)

    def learn(self, end: int) -> None:
        """Count the visits before `end`."""
        self._visits.learn(end)

    def scores(self, items: Rows) -> NDArray[np.float64]:
        """Return the (k,) counts."""
        return self._visits.of_item[items]


def click_baselines(log: TrainingLog, slates: Slates) -> list[ClickBaseline]:
    """Return the baselines of a log, none of which has learned anything."""
    return [ItemClickRate(log, slates), RecentPopularity(log)]
