"""A baseline again, with everything hidden that the user ever acted on.

The product hides the last interactions and learns how seldom older ones come again. Which of the
two is better depends on the log: in a shop people come back to the same, of news they do not. So
each baseline stands in the tables both ways, and the better of the two is what counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from replay.evaluate.baselines.contestant import Playing, Ranked
from replay.evaluate.request import Request, Rows

SUFFIX: Final = ", all seen hidden"


class SeenHidden:
    """A baseline to which nothing is on offer that the user acted on.

    Args:
        inner: the baseline; it may be asked by itself too.
        offers: shared by all baselines of a log, so that they get the same request.
    """

    def __init__(self, inner: Ranked, offers: UnseenOffers) -> None:
        self.inner = inner
        self._offers = offers

    @property
    def name(self) -> str:
        """Return the name that the report uses."""
        return self.inner.name + SUFFIX

    @property
    def playing(self) -> Playing:
        """Return how the baseline took part."""
        return self.inner.playing

    def learn(self, end: int) -> None:
        """Learn the events of the log before `end`."""
        self.inner.learn(end)

    def recommend(self, request: Request) -> Rows:
        """Return what the baseline lists of the items that are new to the user."""
        return self.inner.recommend(self._offers.of(request))


class UnseenOffers:
    """Makes of each request the one in which all seen items are hidden, once."""

    def __init__(self) -> None:
        self._asked: Request | None = None
        self._unseen: Request | None = None

    def of(self, request: Request) -> Request:
        """Return the request without the seen items; itself where that makes no difference."""
        if self._unseen is None or request is not self._asked:
            self._asked, self._unseen = request, request
            if request.offered[request.seen].any():
                offered = request.offered.copy()
                offered[request.seen] = False
                self._unseen = replace(request, offered=offered, seen=np.empty(0, np.int64))
        return self._unseen
