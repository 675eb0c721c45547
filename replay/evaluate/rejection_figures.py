"""What lists do to people who said "not for me": how often they hold what is rejected, or its like.

Law: in every figure but the AUC less is better, and the product stands beside popularity, which
knows nobody's mind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from freshet.core.events.schema import REJECTION
from online_models.maths.slate_auc import mixed_slates, slate_aucs
from online_models.training.histories import Histories, thinned
from online_models.training.log import TrainingLog
from replay.evaluate.baselines import RECENT_VISITS
from replay.evaluate.click_figures import Estimate
from replay.evaluate.comparison import cautious_difference, finite
from replay.evaluate.outcome import Outcome
from replay.evaluate.rejections import rejected_rows
from replay.evaluate.request import PRODUCT, Rows

POPULARITY: Final = f"recent-popular-{RECENT_VISITS}"
MOST_LOOKED_AT: Final = 2_000  # requests of people who have rejected something lately

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of a contestant.

    Attributes:
        contestant: its name.
        value: with its interval.
        gap: what the product's is above it; None for the product.
    """

    contestant: str
    value: Estimate
    gap: Estimate | None


@dataclass(frozen=True, slots=True)
class RejectionFigures:
    """What lists do to people who reject; becomes JSON as it is.

    Attributes:
        rejections: before which lists were asked for.
        rejected20: share of them whose item the list held; less is better.
        like_requests: requests of people who had rejected something with categories lately.
        like_rejected20: share of their lists that shares a category with it; less is better.
        compared: groups of items of which the user then accepted some and rejected others.
        accepted_auc: within a group, the probability that an accepted item scores above a rejected
            one; more is better.
    """

    rejections: int
    rejected20: list[Measured]
    like_requests: int
    like_rejected20: list[Measured]
    compared: int
    accepted_auc: list[Measured]

    @staticmethod
    def of(figures: Sequence[Measured], contestant: str) -> Measured | None:
        """Return the figure of a contestant."""
        return next((each for each in figures if each.contestant == contestant), None)


def rejection_figures(outcome: Outcome, seed: int = 0) -> RejectionFigures | None:
    """Return the figures of a run; None where nothing was rejected while it was judged.

    Args:
        outcome: with one request at least.
        seed: of the resampling; all contestants draw alike.
    """
    log, found = outcome.log, outcome.rejections
    asked, like = _like_rejected(outcome)
    if found is None and not len(asked):
        return None
    hits, rejections = {}, np.empty(0, np.int64)
    if found is not None:
        rejections = found.events
        hits = {
            name: (lists == log.item[rejections][:, None]).any(axis=1).astype(np.float64)
            for name, lists in found.lists.items()
        }
    feedback = None if found is None else found.feedback
    aucs, first = {}, np.empty(0, np.int64)
    if feedback is not None:
        first = np.searchsorted(feedback.slate, mixed_slates(feedback.slate, feedback.clicked))
        aucs = {
            name: slate_aucs(scores, feedback.clicked, feedback.slate)
            for name, scores in feedback.scores.items()
        }
    return RejectionFigures(
        rejections=len(rejections),
        rejected20=_measured(hits, log.user[rejections], log.ts_ms[rejections], seed),
        like_requests=len(asked),
        like_rejected20=_measured(like, log.user[asked], log.ts_ms[asked], seed),
        compared=len(first),
        accepted_auc=[]
        if feedback is None
        else _measured(aucs, feedback.users[first], feedback.ts_ms[first], seed),
    )


def _measured(values: Mapping[str, Floats], users: Rows, ts_ms: Rows, seed: int) -> list[Measured]:
    """Return the means of all contestants over n cases; nothing without any."""
    if not len(users):
        return []

    def estimate(mine: Floats, theirs: Floats) -> Estimate:
        found = cautious_difference(mine, theirs, users, ts_ms, seed)
        return Estimate(found.absolute, finite(found.low), finite(found.high))

    return [
        Measured(
            name,
            estimate(each, np.zeros(len(users))),
            None if name == PRODUCT else estimate(values[PRODUCT], each),
        )
        for name, each in values.items()
    ]


def _like_rejected(outcome: Outcome) -> tuple[Rows, dict[str, Floats]]:
    """Return events, and by contestant the share of each list that is like what was rejected.

    A request counts where the user has rejected an item with a category, not long ago, and has not
    taken it back.
    """
    log = outcome.log
    histories = Histories(log)
    held = _categories(log)  # (n_items, n_categories)
    batch = histories.before(outcome.events)
    some = np.flatnonzero((batch.mask & REJECTION[batch.types]).any(axis=1))
    asked, shares = [], {name: [] for name in outcome.lists}  # type: ignore[var-annotated]
    for place in thinned(some, MOST_LOOKED_AT).tolist():
        used = batch.mask[place]
        rejected = rejected_rows(batch.items[place][used], batch.types[place][used])
        categories = np.zeros(held.shape[1])
        categories[held[rejected].indices] = 1
        if not categories.any():
            continue
        asked.append(int(outcome.events[place]))
        alike = held @ categories > 0  # (n_items,)
        for name, lists in outcome.lists.items():
            rows = lists[place][lists[place] >= 0]
            shares[name].append(float(alike[rows].mean()) if len(rows) else 0.0)
    return np.array(asked, np.int64), {name: np.array(each) for name, each in shares.items()}


def _categories(log: TrainingLog) -> csr_array:
    """Return (n_items, n_categories), 1 where an item has the category."""
    codes: dict[str, int] = {}
    pairs = [
        (row, codes.setdefault(category, len(codes)))
        for row, item in enumerate(log.items)
        for category in set(item.categories)
    ]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    shape = (len(log.items), max(len(codes), 1))
    return csr_array((np.ones(len(pairs)), (rows, columns)), shape=shape)
