"""The product's encoder alone, three times: as it was, trained on every day, and led on by events.

Law: all three begin as copies of one training on the events before the first that counts. They
rank the whole catalogue by the encoder's vector of the user; what they say of a user without a
history is what is popular, as with the baselines.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import INTERACTION
from freshet.core.state.records import HISTORY_LENGTH
from online_models.training.histories import HistoryBatch, encoded
from online_models.training.log import TrainingLog
from replay.evaluate.baselines import RECENT_VISITS
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering, best
from replay.evaluate.baselines.popularity import AnyOrder, Popular
from replay.evaluate.baselines.retrained import mornings
from replay.evaluate.request import Contestant, Request, Rows

FOLLOWED_EVENTS: Final = 500  # interactions between two steps of `encoder-online`
GROWTH: Final = 0.1  # of the visits, before `encoder-daily` is trained on again


class Encoder(Protocol):
    """Learns a log up to where it is told to."""

    def copied(self) -> Self:
        """Return one that has learned the same, and learns on by itself."""
        ...

    def fit(self, end: int) -> None:
        """Train on the events before `end`, for the first time."""
        ...

    def fit_on(self, end: int) -> None:
        """Train on, on all events before `end`."""
        ...

    def follow(self, start: int, end: int) -> None:
        """Learn the events from `start` to before `end`, in a few batches."""
        ...

    def scores(self, history: HistoryBatch) -> NDArray[np.float32]:
        """Return (n, n_items) scores of n histories."""
        ...


Fresh = Callable[[TrainingLog], Encoder]
"""Returns an encoder that has learned nothing of a log."""

Update = Callable[[Encoder, int, int], None]
"""Lets an encoder learn on, given where it had learned to and where it is to have learned to."""


def encoder_rows(log: TrainingLog, fresh: Fresh, first: int) -> list[Contestant]:
    """Return the three of them over a log, none of which has learned anything.

    Args:
        log: the log.
        fresh: returns the encoder that they share.
        first: the event before which it is first trained; nobody asks before.
    """
    numbering = Numbering(log)
    own = numbering.log
    interactions = np.flatnonzero(INTERACTION[own.kind])
    steps = interactions[np.searchsorted(interactions, first) :][FOLLOWED_EVENTS::FOLLOWED_EVENTS]
    days = mornings(own, growth=GROWTH)
    shared = _FirstTraining(own, fresh, first)
    popular, recent = Popular(own), Popular(own, RECENT_VISITS)
    updated: dict[str, tuple[Rows, Update]] = {
        "encoder-frozen": (np.empty(0, np.int64), lambda *_: None),
        "encoder-daily": (days[days > first], lambda encoder, _, end: encoder.fit_on(end)),
        "encoder-online": (steps, lambda encoder, start, end: encoder.follow(start, end)),
    }
    return [
        Ranked(name, numbering, EncoderRanking(shared, *each), recent, popular, AnyOrder())
        for name, each in updated.items()
    ]


class _FirstTraining:
    """The training that all share: whoever asks first has it made."""

    def __init__(self, log: TrainingLog, fresh: Fresh, at: int) -> None:
        self._log = log
        self._fresh = fresh
        self.at = at

    @cached_property
    def encoder(self) -> Encoder:
        """What was learned; to be copied before it learns on."""
        encoder = self._fresh(self._log)
        encoder.fit(self.at)
        return encoder


class EncoderRanking:
    """An encoder that learns on at certain moments.

    Args:
        first: the training that it begins with.
        moments: events after it, ascending, before which it learns on.
        update: how.
    """

    def __init__(self, first: _FirstTraining, moments: Rows, update: Update) -> None:
        self._first = first
        self._moments = moments.tolist()
        self._update = update
        self._learned = first.at
        self._encoder: Encoder | None = None

    def learn(self, end: int) -> None:
        """Learn at all moments up to `end` that have not been yet."""
        if self._encoder is None and end >= self._first.at:
            self._encoder = self._first.encoder.copied()
        while self._encoder is not None and self._moments and self._moments[0] <= end:
            moment = self._moments.pop(0)
            self._update(self._encoder, self._learned, moment)
            self._learned = moment

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows nearest to the user; none before the first training."""
        history = encoded(_history(request))
        if self._encoder is None or not history.mask.any():
            return np.empty(0, np.int64)
        scores = self._encoder.scores(history)[0]
        return best(scores.astype(np.float64), request.offered, k)


def _history(request: Request) -> HistoryBatch:
    """Return the history of a request as a batch of one."""
    length = len(request.items)
    behind = (0, HISTORY_LENGTH - length)
    return HistoryBatch(
        items=np.pad(request.items, behind)[None],
        types=np.pad(request.types, behind)[None],
        ages_s=np.pad(request.ages_s, behind)[None],
        mask=np.arange(HISTORY_LENGTH)[None] < length,
    )
