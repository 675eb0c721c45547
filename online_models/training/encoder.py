"""Training of item tower and sequence encoder together, by softmax over what came next."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from online_models.content import encode_content
from online_models.training.averaging import averaged
from online_models.training.budget import Budget, encoder_step_s, encoder_validation_s
from online_models.training.histories import Histories, HistoryBatch, encoded
from online_models.training.log import TrainingLog
from online_models.training.networks import Encoder, HistoryEncoder, ItemTower
from online_models.training.windows import WindowBatch, Windows

FULL_SOFTMAX_BELOW: Final = 5_000  # items; above, negatives are sampled
_NEGATIVES: Final = 1_024
_BATCH_WINDOWS: Final = 128
_LEARNING_RATE: Final = 2e-3
_LEAST_RATE: Final = 0.1  # of the learning rate, at the end of the schedule
_ENCODE_AT_ONCE: Final = 512
_HELD_OUT_SHARE: Final = 0.03  # of the events, the newest, choose the epoch of a first training
_CHOOSING_EVENTS: Final = 2_000
_PATIENCE: Final = 4  # epochs that foresee no more than an earlier one, before training ends

Report = Callable[[float], None]
"""Told the share that is done."""


@dataclass(slots=True)
class EncoderModel:
    """Item tower, encoder and the sharpness of the softmax.

    Attributes:
        known: (n_items,) bool, items whose own history the tower has learned from.
        best_epoch: the epoch that was kept.
        steps: batches that were learned.
        history: what the epochs reached.
    """

    tower: ItemTower
    encoder: Encoder
    sharpness: torch.nn.Parameter
    known: NDArray[np.bool_]
    best_epoch: int = 0
    steps: int = 0
    history: list[float] = field(default_factory=list)

    @classmethod
    def fresh(cls, log: TrainingLog) -> EncoderModel:
        """Return an untrained model for the items of a log."""
        tower = ItemTower(encode_content(log.items))
        sharpness = torch.nn.Parameter(torch.tensor(2.5))  # log of the scale of a cosine
        return cls(tower, Encoder(), sharpness, np.zeros(len(log.items), np.bool_))

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return all that is learned."""
        return [*self.tower.parameters(), *self.encoder.parameters(), self.sharpness]

    @torch.no_grad()
    def item_vectors(self) -> NDArray[np.float32]:
        """Return the (n_items, EMBEDDING_DIM) unit vectors of all items."""
        self.tower.eval()
        rows = torch.arange(len(self.known))
        vectors: NDArray[np.float32] = self.tower(rows, torch.from_numpy(self.known)).numpy()
        return vectors

    @torch.no_grad()
    def encode(self, item_vectors: NDArray[np.float32], batch: HistoryBatch) -> NDArray[np.float32]:
        """Return (n, EMBEDDING_DIM) vectors of histories, zero for one without what is read."""
        model = HistoryEncoder(self.encoder).eval()
        batch = encoded(batch)
        vectors = torch.from_numpy(item_vectors)
        parts = [np.empty((0, item_vectors.shape[1]), np.float32)]
        for start in range(0, len(batch.items), _ENCODE_AT_ONCE):
            part = slice(start, start + _ENCODE_AT_ONCE)
            mask = torch.from_numpy(batch.mask[part])
            parts.append(
                model(
                    vectors[torch.from_numpy(batch.items[part])] * mask[:, :, None],
                    torch.from_numpy(batch.types[part]),
                    torch.from_numpy(batch.ages_s[part]),
                    mask,
                ).numpy()
            )
        return np.concatenate(parts)


def fit_encoder(
    model: EncoderModel,
    log: TrainingLog,
    end: int,
    *,
    epochs: int,
    budget: Budget,
    rng: np.random.Generator,
    validation: NDArray[np.int64] | None = None,
    report: Report = lambda _: None,
) -> None:
    """Train on the events before `end`, in place; what is left is the average of the steps.

    Args:
        model: what to train, fresh or to be trained on.
        log: the log.
        end: the first event that must not be seen.
        epochs: most passes over the log.
        budget: of steps; when it is spent, the epoch is the last.
        rng: orders the windows and draws the negatives.
        validation: events after `end`; the epoch that foresees them best is kept.
        report: told the share that is done.
    """
    windows = Windows(log, end)
    negatives = Negatives(windows.target_counts, rng)
    model.known[: len(windows.target_counts)] |= windows.target_counts > 0
    optimiser = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE)
    networks = nn.ModuleList([model.tower, model.encoder])
    average = averaged(networks)
    on_average = replace(model, tower=average.module[0], encoder=average.module[1])
    histories = Histories(log)
    best, best_state = -1.0, copy.deepcopy(networks.state_dict())
    for epoch in range(epochs):
        batches = -(-len(windows) // _BATCH_WINDOWS)
        for number, batch in enumerate(windows.batches(_BATCH_WINDOWS, rng)):
            done = max((epoch + number / batches) / epochs, budget.spent())
            for group in optimiser.param_groups:
                group["lr"] = _LEARNING_RATE * (1 - (1 - _LEAST_RATE) * done)
            step(model, batch, negatives, optimiser)
            model.steps += 1
            budget.spend(_price(batch, negatives, len(model.known)))
            average.update_parameters(networks)
            report(done)
            if budget.over():
                break
        if validation is not None:
            reached = foresight(on_average, histories, log, validation)
            budget.spend(encoder_validation_s(requests=len(validation), items=len(model.known)))
            model.history.append(reached)
            if reached > best:
                best, best_state = reached, copy.deepcopy(average.module.state_dict())
                model.best_epoch = epoch + 1
            if epoch + 1 - model.best_epoch >= _PATIENCE:
                break
        if budget.over():
            break
    networks.load_state_dict(average.module.state_dict() if validation is None else best_state)
    report(1.0)


def _price(batch: WindowBatch, negatives: Negatives, items: int) -> float:
    """Return the price of learning from a batch."""
    return encoder_step_s(
        positions=batch.items.size,
        length=batch.items.shape[1],
        pairs=int((batch.targets >= 0).sum()) * negatives.size,
        items=items,
    )


def fit_first(
    model: EncoderModel,
    log: TrainingLog,
    histories: Histories,
    end: int,
    *,
    epochs: int,
    budget: Budget,
    rng: np.random.Generator,
) -> int:
    """Train a fresh model on the events before `end`, of which the newest choose the epoch.

    Args:
        model: what to train, in place.
        log: the log.
        histories: of the log.
        end: the first event that must not be seen.
        epochs: most passes over the log.
        budget: of steps; when it is spent, the epoch is the last.
        rng: orders the windows and draws the negatives.

    Returns:
        The first event that chose, and was not learned from.
    """
    held_out = int(end * (1 - _HELD_OUT_SHARE))
    validation = histories.requests(held_out, end, _CHOOSING_EVENTS)
    fit_encoder(model, log, held_out, epochs=epochs, budget=budget, rng=rng, validation=validation)
    return held_out


def foresight(
    model: EncoderModel, histories: Histories, log: TrainingLog, events: NDArray[np.int64]
) -> float:
    """Return the mean reciprocal rank, among the items trained on, of what these events brought."""
    vectors = model.item_vectors()
    batch = histories.before(events)
    targets = log.item[events]
    scores = model.encode(vectors, batch) @ vectors.T  # (n, n_items)
    reached = scores[np.arange(len(events)), targets][:, None]
    scores[:, ~model.known] = -np.inf
    places = np.maximum((scores >= reached).sum(axis=1), 1)  # its equals stand before it
    return float(np.where(model.known[targets], 1 / places, 0).mean()) if len(places) else 0.0


def step(
    model: EncoderModel,
    batch: WindowBatch,
    negatives: Negatives,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Learn from one batch, in place."""
    model.tower.train()
    model.encoder.train()
    compared, log_expected = negatives.draw()
    learned = batch.targets >= 0
    targets = batch.targets[learned]
    rows, place = np.unique(
        np.concatenate([batch.items.ravel(), targets, compared]), return_inverse=True
    )
    # An item's identity counts or not in the whole step, as input, target and negative alike.
    items = torch.from_numpy(rows)
    vectors = model.tower(items, model.tower.kept_identities(items))
    places = torch.from_numpy(place)
    n_inputs, n_targets = batch.items.size, len(targets)
    inputs = vectors[places[:n_inputs]].reshape(*batch.items.shape, -1)
    mask = torch.from_numpy(batch.mask)
    users = model.encoder(
        inputs * mask[:, :, None],
        torch.from_numpy(batch.types),
        torch.from_numpy(batch.gaps_s),
        mask,
        newest_only=False,
    )[torch.from_numpy(learned)]  # (n_targets, EMBEDDING_DIM)
    right = vectors[places[n_inputs : n_inputs + n_targets]]
    others = vectors[places[n_inputs + n_targets :]]
    same = torch.from_numpy(targets[:, None] == compared[None, :])
    weights = torch.from_numpy(batch.weights[learned])
    loss = _softmax_loss(
        model.sharpness, users, right, others, torch.from_numpy(log_expected), same, weights
    )
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()


def _softmax_loss(
    sharpness: Tensor,
    users: Tensor,
    right: Tensor,
    others: Tensor,
    log_expected: Tensor,
    same: Tensor,
    weights: Tensor,
) -> Tensor:
    """Return the mean cross-entropy of the right items.

    The others stand for the whole catalogue, each weighed down by how often it was to be expected
    among them (Bengio and Senecal 2008, importance sampling); the right one is in it for certain.

    Args:
        sharpness: () logarithm of the scale.
        users: (n, d) unit vectors.
        right: (n, d) of the right items.
        others: (m, d) of those compared with.
        log_expected: (m,) logarithm of how often each was to be expected.
        same: (n, m) where one of the others is the right item itself.
        weights: (n,) how much each counts.
    """
    scale = sharpness.exp().clamp(max=40)
    reached = scale * (users * right).sum(dim=1, keepdim=True)  # (n, 1)
    compared = scale * (users @ others.T) - log_expected  # (n, m)
    compared = compared.masked_fill(same, -1e9)
    logits = torch.cat([reached, compared], dim=1)
    losses = functional.cross_entropy(
        logits, torch.zeros(len(users), dtype=torch.long), reduction="none"
    )
    return (losses * weights).sum() / weights.sum()


class Negatives:
    """Draws the items that a softmax compares with: half evenly, half by popularity^0.75.

    Mixing keeps both the head and the tail in the comparison (Yang et al. 2020, "Mixed negative
    sampling for learning two-tower neural networks in recommendations").
    """

    def __init__(self, counts: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Keep the distribution.

        Args:
            counts: (n,) how often each item was a target; the others are never negatives, so that
                an item that is still to come is not pushed away.
            rng: draws.
        """
        self.items = np.flatnonzero(counts)
        popular = counts[self.items] ** 0.75
        share = 0.5 / max(len(self.items), 1) + 0.5 * popular / max(popular.sum(), 1)
        self._share = share / share.sum()
        self._cumulative = self._share.cumsum()
        self._rng = rng

    @property
    def size(self) -> int:
        """How many items are drawn."""
        return len(self.items) if len(self.items) <= FULL_SOFTMAX_BELOW else _NEGATIVES

    def draw(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return rows of items, and the logarithm of how often each is expected among them."""
        if len(self.items) <= FULL_SOFTMAX_BELOW:
            return self.items, np.zeros(len(self.items), np.float32)
        drawn = np.searchsorted(self._cumulative, self._rng.random(_NEGATIVES))
        drawn = np.minimum(drawn, len(self.items) - 1)
        expected = np.log(_NEGATIVES * self._share[drawn])
        return self.items[drawn], expected.astype(np.float32)
