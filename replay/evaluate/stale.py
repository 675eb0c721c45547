"""Products that are less fresh than they could be, asked as contestants beside the product.

Law: an arm differs in one thing alone. With a delay, it has seen no event that is younger, not
even of the user who asks; its models are those of the product. With older models, it takes fewer
of the very same trainings, so that their age differs, and not how long they were trained.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from online_models.artifacts.bundle import Bundle
from online_models.maths.topk import top_k
from online_models.training.exposures import Exposure
from online_models.training.shown import Shown
from replay.evaluate.judge import Trainer
from replay.evaluate.request import LIST_LENGTH, Request, Rows
from replay.lived import Asked, LivedLog

_WARM_UP: Final = 2  # trainings before answers count: of the encoder, and of all models


@dataclass(frozen=True, slots=True)
class Arm:
    """A product that is less fresh.

    Attributes:
        delay_s: how old state is.
        trainings: how many it takes of the trainings while answers count; None = all.
        hides_seen: items that the user has acted on are struck from the list, and others move
            up, although the delayed state does not know of them: a client could do so by itself.
    """

    delay_s: int = 0
    trainings: int | None = None
    hides_seen: bool = False

    @property
    def name(self) -> str:
        """What the arm is called."""
        if self.trainings is not None:
            return f"{self.trainings} trainings"
        return f"{self.delay_s:,} s old" + ", seen hidden" * self.hides_seen


class StaleLife:
    """A log that is lived some time behind.

    Args:
        lived: the log, nothing of which has happened.
        delay_s: how far behind; 0 = not at all.
        trainings: how many it takes of the trainings while answers count.
    """

    def __init__(self, lived: LivedLog, delay_s: int, trainings: int) -> None:
        self._lived = lived
        self.delay_s = delay_s
        self.trainings = trainings
        self._answered: tuple[int, Asked | None] = (-1, None)

    def live(self, end: int) -> None:
        """Let all happen that is old enough when the event `end` is asked for."""
        ts_ms = self._lived.log.ts_ms
        now_ms = ts_ms[min(end, len(ts_ms) - 1)]
        old = int(np.searchsorted(ts_ms, now_ms - 1_000 * self.delay_s, side="right"))
        self._lived.live(min(end, old))

    def use(self, bundle: Bundle) -> None:
        """Use a bundle from now on."""
        self._lived.use(bundle)

    def ask(self, event: int) -> Asked | None:
        """Return what is answered now to the user of an event; one answer for all who ask."""
        if self._answered[0] != event:
            self._answered = event, self._lived.ask(event, LIST_LENGTH)
        return self._answered[1]

    def log_rows(self, rows: Rows) -> Rows:
        """Return the rows in the log of rows of the table."""
        return self._lived.log_rows(rows)

    def close(self) -> None:
        """End the loop that the folds run in."""
        self._lived.close()


class StaleProduct:
    """An arm as a contestant."""

    def __init__(self, life: StaleLife, arm: Arm) -> None:
        self._life = life
        self.arm = arm

    @property
    def name(self) -> str:
        """Return the name of the arm."""
        return self.arm.name

    def learn(self, end: int) -> None:
        """Let happen what is old enough before `end`."""
        self._life.live(end)

    def recommend(self, request: Request) -> Rows:
        """Return what the product answers so late."""
        asked = self._life.ask(request.event)
        if asked is None:
            return np.empty(0, np.int64)
        candidates = asked.ranked.union.rows
        if not self.arm.hides_seen:
            return self._life.log_rows(candidates[asked.order])
        by_score = top_k(asked.ranked.scores, len(candidates))
        order = np.r_[asked.order, by_score[~np.isin(by_score, asked.order)]]
        rows = self._life.log_rows(candidates[order])
        return rows[request.offered[rows]][:LIST_LENGTH]


class SharedTrainer:
    """A trainer whose models also go to stale lives, to some of them more seldom.

    Args:
        trainer: the trainer.
        lives: who takes its models.
        trainings: how many there will be while answers count.
    """

    def __init__(self, trainer: Trainer, lives: Sequence[StaleLife], trainings: int) -> None:
        self._trainer = trainer
        self._lives = lives
        self._trainings = trainings
        self._trained = 0

    def see(self, exposure: Exposure) -> None:
        """Keep an exposure to learn from."""
        self._trainer.see(exposure)

    def see_shown(self, shown: Shown) -> None:
        """Keep a slate to learn from."""
        self._trainer.see_shown(shown)

    def train_encoder(self, end: int) -> None:
        """Train the encoder on the events before `end`."""
        self._trainer.train_encoder(end)

    def train_ranker(self, end: int) -> None:
        """Train the ranker on what was exposed, and what came of it, before `end`."""
        self._trainer.train_ranker(end)

    def bundle(self, end: int) -> Bundle:
        """Return the models as they are, and give those who want them a copy that stays so."""
        bundle = self._trainer.bundle(end)
        kept = copy.deepcopy(bundle)  # training goes on in the networks of the other one
        number = self._trained - _WARM_UP + 1  # from 1, of the trainings while answers count
        for life in self._lives:
            if number < 1 or is_taken(number, self._trainings, life.trainings):
                life.live(end)
                life.use(kept)
        self._trained += 1
        return bundle


def is_taken(number: int, trainings: int, taken: int) -> bool:
    """Return whether someone who takes so many of the trainings takes this one.

    Those that are taken part the time as evenly as can be.

    Args:
        number: of the training, from 1.
        trainings: how many there are.
        taken: how many of them are taken, at most all.

    >>> [number for number in range(1, 9) if is_taken(number, 8, 2)]
    [3, 6]
    """
    parts = (taken + 1) / (trainings + 1)
    return math.floor(number * parts + 1e-9) > math.floor((number - 1) * parts + 1e-9)
