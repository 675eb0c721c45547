"""The run over what people rejected: whether lists held it just before, and how it was scored.

Law: a rejection is asked for as a visit is: before it, and before the slate that it answers. It is
never a hit, and nobody learns from having been asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import REJECTION, TAKES_BACK
from online_models.training.histories import Histories, thinned
from online_models.training.log import TrainingLog
from online_models.training.slates import Slate
from replay.evaluate.impressions import Impressions
from replay.evaluate.request import Rows

FEEDBACK_S: Final = 86_400  # a user's explicit feedback within so long is compared
MOST_COMPARED: Final = 20  # items of one comparison

_FEEDBACK = REJECTION | TAKES_BACK
"""(n_types,) bool: the types by which a user says what an item is worth to them."""


class RejectionRequest(NamedTuple):
    """A list is asked for before its user rejects an item, at `event`."""

    event: int
    asked_at: int


class FeedbackSlate(NamedTuple):
    """Items that a user is about to accept or reject, to be scored beforehand."""

    slate: Slate

    @property
    def asked_at(self) -> int:
        """The first event that nobody may know."""
        return self.slate.asked_at


@dataclass(frozen=True, slots=True)
class Rejections:
    """What was listed before n rejections, in the order of time.

    Attributes:
        events: (n,) the rejections.
        lists: by contestant, (n, LIST_LENGTH) rows, -1 behind the end.
        feedback: what was said of items that were then accepted (`clicked`) or rejected; None
            where the log holds no users who did both within `FEEDBACK_S`.
    """

    events: Rows
    lists: dict[str, NDArray[np.int64]]
    feedback: Impressions | None


def rejection_requests(
    log: TrainingLog, histories: Histories, start: int, end: int, most: int
) -> list[RejectionRequest]:
    """Return rejections of items that are new to the user, evenly spread, in the order of time."""
    events = start + np.flatnonzero(REJECTION[log.kind[start:end]])
    candidates = thinned(events, 4 * most)
    batch = histories.before(candidates)
    repeated = (batch.mask & (batch.items == log.item[candidates][:, None])).any(axis=1)
    kept = candidates[~repeated & (histories.asked_at[candidates] >= start)]
    kept = thinned(kept[np.argsort(histories.asked_at[kept], kind="stable")], most)
    pairs = zip(kept.tolist(), histories.asked_at[kept].tolist(), strict=True)
    return [RejectionRequest(*pair) for pair in pairs]


def feedback_slates(
    log: TrainingLog, histories: Histories, start: int, end: int, most: int
) -> list[FeedbackSlate]:
    """Return what users are about to accept and reject within a day, evenly spread.

    The items are scored before the first of them: each is new to the user then.

    Args:
        log: the log.
        histories: of it.
        start: none is asked for before this event.
        end: the event behind the last.
        most: how many at most.
    """
    found = sorted(_compared(log, histories, start, end), key=lambda each: each.asked_at)
    return [found[place] for place in thinned(np.arange(len(found)), most).tolist()]


def rejected_rows(items: Rows, types: NDArray[np.int64]) -> Rows:
    """Return the distinct items of a history that the user rejected and did not take back since.

    Args:
        items: (h,) rows, newest first.
        types: (h,) codes of their event types.
    """
    said = _FEEDBACK[types]
    rows, newest = np.unique(items[said], return_index=True)
    rejected: Rows = rows[REJECTION[types[said][newest]]]
    return rejected


def _compared(
    log: TrainingLog, histories: Histories, start: int, end: int
) -> Iterator[FeedbackSlate]:
    events = start + np.flatnonzero(_FEEDBACK[log.kind[start:end]])
    rejecting = np.unique(log.user[events[REJECTION[log.kind[events]]]])
    of_user: defaultdict[int, list[int]] = defaultdict(list)
    for event in events[np.isin(log.user[events], rejecting)].tolist():
        of_user[int(log.user[event])].append(event)
    for own in of_user.values():
        while own:
            until_ms = log.ts_ms[own[0]] + 1_000 * FEEDBACK_S
            together = [event for event in own if log.ts_ms[event] <= until_ms]
            own = own[len(together) :]  # noqa: PLW2901
            slate = _slate(log, histories, together, start)
            if slate is not None:
                yield slate


def _slate(
    log: TrainingLog, histories: Histories, events: list[int], start: int
) -> FeedbackSlate | None:
    """Return what was said of the items of some events of one user; None unless of both kinds."""
    asked_at = int(histories.asked_at[events].min())
    known = histories.seen(events[0])
    rows, last = np.unique(log.item[events][::-1], return_index=True)  # the last word counts
    accepted = ~REJECTION[log.kind[np.array(events)[::-1][last]]]
    new = ~np.isin(rows, known)
    rows, accepted = rows[new][:MOST_COMPARED], accepted[new][:MOST_COMPARED]
    if asked_at < start or not len(rows) or accepted.all() or not accepted.any():
        return None
    return FeedbackSlate(Slate(events[0], asked_at, events[-1] + 1, rows, accepted[:, None]))
