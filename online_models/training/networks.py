"""The networks: item tower, sequence encoder, ranker; small enough to train on two cores."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from freshet.core.events.schema import EVENT_TYPES
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.content import CONTENT_DIM
from online_models.features import FEATURES
from online_models.tasks import GIVEN_CLICK, TASKS
from online_models.training.calibration import Calibration

_HEADS = 2
_BLOCKS = 2
_DROPOUT = 0.2
_ID_DROPOUT = 0.2
_LEAST_NORM = 1e-6


class ItemTower(nn.Module):
    """Vectors of items: what the content says, plus what the item's own history taught.

    In training the second part is left out at random, so that the first learns to stand alone
    (Volkovs, Yu and Poutanen 2017, "DropoutNet"): an item that was just created has only that. Of
    an item without content nothing would remain, so its second part is never left out.
    """

    def __init__(self, content: NDArray[np.float32]) -> None:
        """Keep the content of the items.

        Args:
            content: (n_items, CONTENT_DIM), mostly zeros.
        """
        super().__init__()
        n_items = len(content)
        self.identity = nn.Embedding(n_items, EMBEDDING_DIM)
        self.tokens = nn.Parameter(torch.randn(CONTENT_DIM, EMBEDDING_DIM) / EMBEDDING_DIM**0.5)
        self.shared = nn.Parameter(0.02 * torch.randn(EMBEDDING_DIM))
        nn.init.normal_(self.identity.weight, std=0.02)
        rows, columns = np.nonzero(content)
        starts = np.searchsorted(rows, np.arange(n_items + 1))
        # The bags stay sparse while training: a few tokens of a thousand are set.
        self.starts = torch.from_numpy(starts)
        self.columns = torch.from_numpy(columns)
        self.values = torch.from_numpy(content[rows, columns])

    def forward(self, rows: Tensor, known: Tensor) -> Tensor:
        """Return unit vectors of items.

        Args:
            rows: (n,) rows.
            known: (n,) bool, whether the item's history may speak.
        """
        starts, ends = self.starts[rows], self.starts[rows + 1]
        lengths = ends - starts
        offsets = lengths.cumsum(0) - lengths
        at = torch.arange(int(lengths.sum())) + (starts - offsets).repeat_interleave(lengths)
        content = functional.embedding_bag(
            self.columns[at],
            self.tokens,
            offsets,
            mode="sum",
            per_sample_weights=self.values[at],
        )  # (n, EMBEDDING_DIM)
        vectors = content + self.shared + self.identity(rows) * known[:, None]
        return _unit(vectors)

    def kept_identities(self, rows: Tensor) -> Tensor:
        """Return at random which items keep their identity in a step, (n,) bool.

        Args:
            rows: (n,) rows; those without content keep it always.
        """
        has_content = self.starts[rows + 1] > self.starts[rows]
        return ~has_content | (torch.rand(len(rows)) >= _ID_DROPOUT)


class ContentTower(nn.Module):
    """The part of the item tower that an unknown item has; this is what is exported."""

    def __init__(self, tower: ItemTower) -> None:
        super().__init__()
        self.tokens = tower.tokens
        self.shared = tower.shared

    def forward(self, content: Tensor) -> Tensor:
        """Return unit vectors (n, EMBEDDING_DIM) of bags (n, CONTENT_DIM)."""
        return _unit(content @ self.tokens + self.shared)


class _Block(nn.Module):
    """Pre-norm attention to what is older, then a feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(EMBEDDING_DIM)
        self.norm_forward = nn.LayerNorm(EMBEDDING_DIM)
        self.query = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)
        self.key_value = nn.Linear(EMBEDDING_DIM, 2 * EMBEDDING_DIM)
        self.output = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)
        self.forward_layers = nn.Sequential(
            nn.Linear(EMBEDDING_DIM, 2 * EMBEDDING_DIM),
            nn.GELU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(2 * EMBEDDING_DIM, EMBEDDING_DIM),
        )
        self.distance_bias = nn.Parameter(torch.zeros(_HEADS, HISTORY_LENGTH))
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, x: Tensor, blocked: Tensor, distance: Tensor, queries: int) -> Tensor:
        """Return the first `queries` positions of (b, length, EMBEDDING_DIM), transformed.

        Args:
            x: (b, length, EMBEDDING_DIM), newest first.
            blocked: (b, 1, length, length) bool, keys that a query must not see.
            distance: (length, length) how much older the key is than the query.
            queries: positions wanted; the last block answers for the newest alone.
        """
        length = x.shape[1]
        normed = self.norm_attention(x)
        width = EMBEDDING_DIM // _HEADS
        query = self.query(normed[:, :queries]).reshape(-1, queries, _HEADS, width).transpose(1, 2)
        key, value = (
            part.reshape(-1, length, _HEADS, width).transpose(1, 2)
            for part in self.key_value(normed).chunk(2, dim=2)
        )  # (b, heads, length, width)
        scores = query @ key.transpose(2, 3) / math.sqrt(width)  # (b, heads, queries, length)
        scores = scores + self.distance_bias[:, distance[:queries]]
        scores = scores.masked_fill(blocked[:, :, :queries], -1e9)
        mixed = self.dropout(scores.softmax(dim=3)) @ value
        mixed = mixed.transpose(1, 2).reshape(-1, queries, EMBEDDING_DIM)
        x = x[:, :queries] + self.dropout(self.output(mixed))
        return x + self.dropout(self.forward_layers(self.norm_forward(x)))


class Encoder(nn.Module):
    """A causal transformer over item vectors (after Kang and McAuley 2018, "SASRec").

    The inputs are vectors, not ids, so that it reads items that it was not trained on. Order comes
    as a bias by distance, so that every position of a window is one training example.
    """

    def __init__(self) -> None:
        super().__init__()
        self.type_vectors = nn.Embedding(len(EVENT_TYPES), EMBEDDING_DIM)
        nn.init.normal_(self.type_vectors.weight, std=0.02)
        self.item_layer = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)
        self.gap_layer = nn.Linear(3, EMBEDDING_DIM)
        self.blocks = nn.ModuleList(_Block() for _ in range(_BLOCKS))
        self.norm = nn.LayerNorm(EMBEDDING_DIM)
        self.output = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)
        self.dropout = nn.Dropout(_DROPOUT)
        index = torch.arange(HISTORY_LENGTH)
        self.register_buffer("older_by", index[None, :] - index[:, None])

    def forward(
        self, vectors: Tensor, types: Tensor, gaps_s: Tensor, mask: Tensor, *, newest_only: bool
    ) -> Tensor:
        """Return unit vectors of what comes next.

        Args:
            vectors: (b, length, EMBEDDING_DIM) of items, newest first.
            types: (b, length) codes of event types.
            gaps_s: (b, length) from each event to the next newer one, or to the request.
            mask: (b, length) bool, where there is an event.
            newest_only: answer for the newest position alone.

        Returns:
            (b, length, EMBEDDING_DIM), or (b, 1, EMBEDDING_DIM).
        """
        length = vectors.shape[1]
        older_by = self.older_by[:length, :length]
        blocked = (older_by < 0)[None, None] | ~mask[:, None, None, :]  # (b, 1, length, length)
        distance = older_by.clamp(min=0)
        x = self.item_layer(vectors * math.sqrt(EMBEDDING_DIM))
        x = x + self.type_vectors(types) + self.gap_layer(_gap_features(gaps_s))
        x = self.dropout(x)
        for number, block in enumerate(self.blocks):
            last = number == _BLOCKS - 1
            x = block(x, blocked, distance, 1 if newest_only and last else length)
        positions = x.shape[1]
        return _unit(self.output(self.norm(x)) + vectors[:, :positions])


class HistoryEncoder(nn.Module):
    """The encoder as serving calls it, with ages instead of gaps; this is what is exported."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, vectors: Tensor, types: Tensor, ages_s: Tensor, mask: Tensor) -> Tensor:
        """Return (b, EMBEDDING_DIM): unit vectors, zero for a user without a history."""
        gaps_s = ages_s - functional.pad(ages_s, (1, 0))[:, :-1]
        users = self.encoder(vectors, types, gaps_s, mask, newest_only=True)[:, 0]
        return users * mask[:, :1]


class Ranker(nn.Module):
    """Starts as the fused rank of the sources and learns what to add to it.

    One cross layer (Wang et al. 2021, "DCN V2", equation 1) before a small perceptron is what the
    tasks share; each has a head of its own, which starts at zero: an untrained ranker orders as the
    fusion does, and says of the other tasks that they are as usual. Clicks shape what is shared, so
    the heads of the others also see the crossed features themselves.
    """

    def __init__(self, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> None:
        """Keep the scale of the features.

        Args:
            mean: (F,) over the training rows.
            deviation: (F,); a feature that never varied there is switched off, because nothing
                was learned of it.
        """
        super().__init__()
        n = len(FEATURES)
        varied = deviation > 1e-4
        scale = np.where(varied, 1 / np.where(varied, deviation, 1), 0)
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        self.fused = FEATURES.index("fused_rank_z")
        self.cross = nn.Linear(n, n)
        nn.init.normal_(self.cross.weight, std=0.02)
        nn.init.zeros_(self.cross.bias)
        self.layers = nn.Sequential(
            nn.Linear(n, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 32), nn.ReLU()
        )
        self.last = nn.Linear(32, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.beside_click = nn.Parameter(torch.zeros(len(TASKS) - 1, n + 32))
        self.fusion_weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores of each candidate, (..., F) to (..., T).

        That of a click stands first.
        """
        x = ((features - self.mean) * self.scale).clamp(-5, 5)
        crossed = x * self.cross(x) + x  # (..., F)
        shared = self.layers(crossed)  # (..., 32)
        fused = self.fusion_weight.abs() * features[..., self.fused]
        click = self.last(shared) + fused[..., None]
        seen = torch.cat([crossed, shared], dim=-1)  # (..., F + 32)
        return torch.cat([click, functional.linear(seen, self.beside_click)], dim=-1)

    def of_clicks(self) -> list[nn.Parameter]:
        """Return what clicks are predicted with: all but the heads of the other tasks."""
        return [each for each in self.parameters() if each is not self.beside_click]


class CalibratedRanker(nn.Module):
    """The ranker, its scores brought to probabilities; it is exported beside a slate head.

    Attributes:
        epochs: how often it saw what it learned from; 0 for one that orders as the fusion does.
        on_shown: whether its probabilities are of what is shown; else of what comes next.
    """

    def __init__(
        self, ranker: Ranker, calibration: Calibration, epochs: int = 0, *, on_shown: bool = False
    ) -> None:
        super().__init__()
        self.ranker = ranker
        self.epochs = epochs
        self.on_shown = on_shown
        self.register_buffer("slopes", calibration.slopes)
        self.register_buffer("intercepts", calibration.intercepts)

    @property
    def calibration(self) -> Calibration:
        """The lines that bring its scores to log-odds."""
        return Calibration(self.slopes, self.intercepts)

    def forward(self, features: Tensor) -> Tensor:
        """Return the (n, T) probabilities of the tasks of (n, F) features."""
        return marginal(self.calibration(self.ranker(features)))


def marginal(log_odds: Tensor) -> Tensor:
    """Return (n, T) probabilities of (n, T) log-odds, some of them given a click."""
    given = torch.sigmoid(log_odds)
    click, follow = given[:, :1], slice(1, 1 + int(GIVEN_CLICK.sum()))
    return torch.cat([click, click * given[:, follow], given[:, follow.stop :]], dim=1)


def _gap_features(gaps_s: Tensor) -> Tensor:
    """Return (..., 3): the magnitude of a gap, whether it ended a visit, whether it ended a day."""
    gaps_s = gaps_s.clamp(min=0)
    return torch.stack(
        [torch.log1p(gaps_s) / 10, torch.exp(-gaps_s / 1_800), torch.exp(-gaps_s / 86_400)], dim=-1
    )


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp(min=_LEAST_NORM)
