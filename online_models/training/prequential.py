"""Models trained again and again while a log is lived: what a live installation would have had.

Law: a training knows the events before it and the exposures that were made before it, as they were
made; nothing is recomputed with what became known later.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from online_models.artifacts.bundle import Bundle
from online_models.training.budget import Budget
from online_models.training.challenger import TreeRanker
from online_models.training.challenger_choice import challenged
from online_models.training.encoder import EncoderModel, fit_encoder, fit_first
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.labelled_rows import Population
from online_models.training.log import TrainingLog
from online_models.training.networks import CalibratedRanker
from online_models.training.ranker import fit_ranker, refit_ranker
from online_models.training.shown import Shown, closed_before
from online_models.training.slate_head import SlateHead, choose_head
from online_models.training.trial import trial_bundle

MOST_EXPOSURES: Final = 15_000
"""The newest ones; an older one tells of a catalogue that is no more."""

MOST_SHOWN: Final = 10_000
"""Slates, the newest ones too."""

_CHOOSING_SHARE: Final = 0.15  # of both, the newest, choose the epoch of the ranker and calibrate
_FIRST_EPOCHS, _LATER_EPOCHS = 30, 4
_RANKER_EPOCHS: Final = 30
_HEAD_SHARE: Final = 0.2  # of the budget of the ranker, for the slate head; as much once more

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingTimes:
    """Budgets of trainings, see `Budget`, and on how many threads.

    Attributes:
        first_s: of the encoder, from nothing.
        later_s: of the encoder, from where it was.
        ranker_s: of the ranker, each time from nothing.
        challenger_s: of the trees that challenge it; 0 = nobody does.
        threads: that torch computes with, at most; no more than it had (`OMP_NUM_THREADS`).
    """

    first_s: float = 120.0
    later_s: float = 60.0
    ranker_s: float = 60.0
    challenger_s: float = 0.0
    threads: int = 2


class PrequentialTrainer:
    """Keeps what was exposed, and trains on it when it is told to.

    Args:
        log: the log; only what is before a training is looked at.
        times: how long trainings may take.
        seed: of every generator.
    """

    def __init__(self, log: TrainingLog, times: TrainingTimes, seed: int) -> None:
        torch.set_num_threads(min(times.threads, torch.get_num_threads()))
        self._log = log
        self._times = times
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self._histories = Histories(log)
        self._encoder = EncoderModel.fresh(log)
        self._exposures: list[Exposure] = []
        self._shown: list[Shown] = []
        self.encoder_trainings = 0
        self.ranker: CalibratedRanker | TreeRanker | None = None
        self.head: SlateHead | None = None

    def see(self, exposure: Exposure) -> None:
        """Keep an exposure to learn from."""
        self._exposures.append(exposure.thinned(self._rng))
        del self._exposures[:-MOST_EXPOSURES]

    def see_shown(self, shown: Shown) -> None:
        """Keep a slate to learn from."""
        self._shown.append(shown)
        del self._shown[:-MOST_SHOWN]

    def train_encoder(self, end: int) -> None:
        """Train the encoder on the events before `end`, on from where it was."""
        model, log, times = self._encoder, self._log, self._times
        if not self.encoder_trainings:
            fit_first(
                model,
                log,
                self._histories,
                end,
                epochs=_FIRST_EPOCHS,
                budget=Budget.of(times.first_s),
                rng=self._rng,
            )
        else:
            fit_encoder(
                model,
                log,
                end,
                epochs=_LATER_EPOCHS,
                budget=Budget.of(times.later_s),
                rng=self._rng,
            )
        self.encoder_trainings += 1

    def train_ranker(self, end: int) -> None:
        """Train the ranker on what was exposed, and what came of it, before `end`."""
        known = [each.known_before(end) for each in self._exposures if each.event < end]
        shown = closed_before(self._shown, end)
        cut, shown_cut = (int(len(each) * (1 - _CHOOSING_SHARE)) for each in (known, shown))
        network = fit_ranker(
            known[:cut],
            known[cut:],
            shown=shown[:shown_cut],
            shown_later=shown[shown_cut:],
            epochs=_RANKER_EPOCHS,
            budget=Budget.of(self._times.ranker_s),
            rng=self._rng,
        )
        self.ranker = network
        if self._times.challenger_s:
            choice = challenged(
                network,
                known[:cut],
                known[cut:],
                log=self._log,
                budget=Budget.of(self._times.challenger_s),
                rng=np.random.default_rng([self._seed, end]),  # the network's own draws stay
                population=Population.of(
                    known[:cut], known[cut:], shown[:shown_cut], shown[shown_cut:]
                ),
            )
            log.info("before event %d: %s", end, choice.remark)
            self.ranker = choice.ranker
        self._train_head(self.ranker, shown, shown_cut, end)
        if self.ranker is network:
            budget = Budget.of(self._times.ranker_s)
            self.ranker = refit_ranker(network, known, shown=shown, budget=budget, rng=self._rng)

    def _train_head(self, ranker: nn.Module, shown: list[Shown], cut: int, end: int) -> None:
        """Choose between the click of a ranker and a slate head; what is kept learns from all."""
        rng = np.random.default_rng([self._seed, end, 1])  # the ranker's own draws stay
        seconds = _HEAD_SHARE * self._times.ranker_s
        choice = choose_head(ranker, shown[:cut], shown[cut:], budget=Budget.of(seconds), rng=rng)
        log.info("before event %d: slate head %s", end, choice.metrics)
        self.head = choice.again(shown, budget=Budget.of(seconds), rng=rng)

    def bundle(self, end: int) -> Bundle:
        """Return the models as they are, over the items that exist at an event."""
        existing = np.flatnonzero(self._histories.available(end))
        return trial_bundle(self._log, existing, self._encoder, self.ranker, self.head)
