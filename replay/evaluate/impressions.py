"""The run over what was shown: each slate is ranked just before it, and some of it was clicked on.

Law: everyone scores the same impressions, from what was known before the slate. The product is
asked as a client asks that brings its own candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.training.slates import Slate
from replay.evaluate.click_baselines import ClickBaseline
from replay.evaluate.request import PRODUCT
from replay.lived import LivedLog, Scored


@dataclass(frozen=True, slots=True)
class Impressions:
    """What was foreseen of n impressions, in the order of time.

    Attributes:
        slates: how many they come from.
        not_offered: further ones, of items that the catalogue did not hold yet; nobody scores them.
        slate: (n,) ascending number of the slate that each comes from.
        users: (n,) numbers of who saw them.
        ts_ms: (n,) event times.
        clicked: (n,) bool.
        scores: by contestant, (n,), bigger where a click is likelier.
        probabilities: the contestants whose scores are probabilities of a click.
    """

    slates: int
    not_offered: int
    slate: NDArray[np.int64]
    users: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    clicked: NDArray[np.bool_]
    scores: dict[str, NDArray[np.float64]]
    probabilities: frozenset[str]


class ImpressionJudge:
    """Notes what the product and others foresee of slates.

    Args:
        lived: the product; slates are asked for in the order of time.
        others: who scores the same impressions.
        by_clicks: whether the product scores by clicks alone, or by all that is valued.
    """

    def __init__(
        self, lived: LivedLog, others: Sequence[ClickBaseline], *, by_clicks: bool = True
    ) -> None:
        self._lived = lived
        self._by_clicks = by_clicks
        self._others = others
        self._asked: list[Slate] = []
        self._scores: dict[str, list[NDArray[np.float64]]] = {
            name: [] for name in (PRODUCT, *(each.name for each in others))
        }
        self._by_ranker = True

    def ask(self, slate: Slate) -> Scored:
        """Let everyone score a slate, at the moment before it; return what the product said."""
        self._lived.live(slate.asked_at)
        ranked = self._lived.rank(slate.event, slate.items, by_clicks=self._by_clicks)
        self._asked.append(slate)
        self._scores[PRODUCT].append(ranked.scores)
        self._by_ranker &= ranked.by_ranker or bool(np.isnan(ranked.scores).all())
        for each in self._others:
            each.learn(slate.asked_at)
            self._scores[each.name].append(each.scores(slate.items))
        return ranked

    def impressions(self) -> Impressions | None:
        """Return what was foreseen; None unless some were clicked on and others were not."""
        if not self._asked:
            return None
        log = self._lived.log
        scores = {name: np.concatenate(parts) for name, parts in self._scores.items()}
        offered = np.isfinite(scores[PRODUCT])
        sizes = [len(slate.items) for slate in self._asked]
        events = np.repeat([slate.event for slate in self._asked], sizes)[offered]
        clicked = np.concatenate([slate.clicked for slate in self._asked])[offered]
        if clicked.all() or not clicked.any():
            return None
        calibrated = [each.name for each in self._others if each.is_probability]
        return Impressions(
            slates=len(self._asked),
            not_offered=int((~offered).sum()),
            slate=np.repeat(np.arange(len(sizes)), sizes)[offered],
            users=log.user[events],
            ts_ms=log.ts_ms[events],
            clicked=clicked,
            scores={name: each[offered] for name, each in scores.items()},
            probabilities=frozenset([*calibrated, *[PRODUCT] * self._by_ranker]),
        )
