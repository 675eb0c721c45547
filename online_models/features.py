"""What the ranker sees of a candidate: one definition for serving, logging and training.

Law: a feature is a function of the request alone. Counts and ages drift as a log grows, so each
also appears relative to the other candidates of its request (z-scores), and every value is finite
and within `FEATURE_LIMIT`, so that it survives being logged as float16.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import TREND_HALF_LIVES_S

SOURCES: Final = (
    "session",
    "covisitation",
    "transitions",
    "neighbours",
    "past",
    "similar",
    "category",
    "trending",
    "new",
    "popular",
)
"""The candidate sources, in the order of every array that has a column for each."""

SOURCE_WEIGHTS: Final = np.array([0.6, 1.0, 0.8, 0.6, 0.2, 0.2, 0.3, 0.2, 0.1, 0.6])
"""How much a rank within each source counts where nothing better orders the candidates.

Set by judgement: what finds the next item alone on most logs counts for most.
"""

FEATURE_LIMIT: Final = 10.0
RANK_SOFTENING: Final = 20.0
"""k of reciprocal rank fusion (Cormack, Clarke, Buettcher 2009), smaller as the lists are short."""

_SCHEMA_VERSION: Final = 5
_MAGNITUDE_SOURCES: Final = ("covisitation", "transitions", "neighbours", "past")
"""Those whose scores count evidence."""

_RAW: Final = (
    "fused_rank",
    *(f"trend_{half_life_s}s" for half_life_s in TREND_HALF_LIVES_S),
    "momentum",
    "interactions",
    "impressions",
    "click_rate",
    "age",
    "last_event_age",
    *(f"{source}_magnitude" for source in _MAGNITUDE_SOURCES),
    "session_similarity",
    "encoder_similarity",
    "last_item_similarity",
    "category_overlap",
    "category_affinity",
    "category_aversion",
    "vector_aversion",
    "popularity_gap",
    "past_times",
)
_OF_REQUEST: Final = ("history_length", "past_length", "rejections", "idle")
"""Those that all candidates of a request share."""

FEATURES: Final[tuple[str, ...]] = (
    *(f"{source}_score_z" for source in SOURCES),
    *(f"{source}_closeness" for source in SOURCES),
    *_RAW,
    *(f"{name}_z" for name in _RAW),
    *_OF_REQUEST,
)
FEATURE_SCHEMA: Final = hashlib.sha256(
    f"{_SCHEMA_VERSION} {' '.join(FEATURES)}".encode()
).hexdigest()[:16]
"""Names the features and their order; a ranker serves only under the schema it was trained on."""

_NUMBERS: Final = frozenset(
    {"history_popularity", "history_length", "past_length", "rejections", "idle_s"}
)
"""Fields of `Candidates` that are one number for the request, no array."""

_CLICKS_PRIOR: Final = (1.0, 20.0)  # clicks, impressions: keeps the rate of a new item sane

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is known of the n candidates of one request, S sources and H trending half-lives.

    Attributes:
        source_scores: (n, S), bigger is better; ignored where the rank is -1.
        source_ranks: (n, S) int, 0 is the best of the source, -1 where it did not find the item.
        trend: (n, H), events per second.
        interactions: (n,), events on the item that are no impressions.
        impressions: (n,), times shown.
        clicks: (n,), clicks.
        item_age_s: (n,), since the item was first known, s.
        last_event_age_s: (n,), since the item's last event, s.
        session_similarity: (n,), cosine of the session embedding, 0 without one.
        encoder_similarity: (n,), cosine of the encoder's user vector, 0 without one.
        last_item_similarity: (n,), cosine of the item liked last, 0 without one.
        category_overlap: (n,), share in [0, 1] of the item's categories that the liked items hold.
        category_affinity: (n,), cosine of the item's categories and those of the liked items.
        category_aversion: (n,), evidence against the item's categories, 0 or more, by what the
            user rejected; see `online_models.maths.aversion`.
        vector_aversion: (n,), evidence against what is near the item's vector, 0 or more.
        past_times: (n,), how often the user acted on the item before the history.
        history_popularity: mean of log(1 + interactions) of the liked items, 0 without.
        history_length: events of the user's history that speak for their item.
        past_length: distinct items before it.
        rejections: items that the user rejected.
        idle_s: since the user's last event, s.
    """

    source_scores: Floats
    source_ranks: NDArray[np.int64]
    trend: Floats
    interactions: Floats
    impressions: Floats
    clicks: Floats
    item_age_s: Floats
    last_event_age_s: Floats
    session_similarity: Floats
    encoder_similarity: Floats
    last_item_similarity: Floats
    category_overlap: Floats
    category_affinity: Floats
    category_aversion: Floats
    vector_aversion: Floats
    past_times: Floats
    history_popularity: float
    history_length: int
    past_length: int
    rejections: int
    idle_s: float

    def __post_init__(self) -> None:
        """Refuse arrays that disagree on n, S or H.

        Raises:
            ValueError: naming the array.
        """
        n = len(self.source_scores)
        shapes = {"source_scores": (n, len(SOURCES)), "source_ranks": (n, len(SOURCES))}
        shapes["trend"] = (n, len(TREND_HALF_LIVES_S))
        for name in self.__slots__:
            if name in _NUMBERS:
                continue
            expected = shapes.get(name, (n,))
            found = getattr(self, name).shape
            if found != expected:
                raise ValueError(f"{name} has shape {found}, expected {expected}")


def compute_features(candidates: Candidates) -> Floats:
    """Return the features of the candidates of one request.

    Returns:
        (n, F) float32 in the order of `FEATURES`, finite, within +-`FEATURE_LIMIT`.
    """
    c = candidates
    n = len(c.source_scores)
    if not n:
        return np.empty((0, len(FEATURES)), np.float32)
    found = c.source_ranks >= 0  # (n, S)
    ranks = np.where(found, c.source_ranks, 0)
    closeness = np.where(found, 1 / np.log2(2.0 + ranks), 0)
    raw = _raw_columns(c, fused_ranks(c.source_ranks))
    n_sources = len(SOURCES)
    features = np.empty((n, len(FEATURES)), np.float32)
    features[:, :n_sources] = _z_of_found(c.source_scores.astype(np.float64), found)
    features[:, n_sources : 2 * n_sources] = closeness
    raw_start, z_start = 2 * n_sources, 2 * n_sources + raw.shape[1]
    features[:, raw_start:z_start] = raw
    request_start = z_start + raw.shape[1]
    features[:, z_start:request_start] = _z_of_found(raw, np.ones(raw.shape, np.bool_))
    features[:, request_start:] = np.log1p(
        [c.history_length, c.past_length, c.rejections, max(c.idle_s, 0.0) / 60]
    )
    return np.clip(np.nan_to_num(features), -FEATURE_LIMIT, FEATURE_LIMIT)


def fused_ranks(source_ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weighted reciprocal rank fusion of the sources, (n,), bigger is better.

    >>> first = np.where(np.arange(len(SOURCES)) == SOURCES.index("covisitation"), 0, -1)
    >>> fused_ranks(first[None]).tolist()
    [0.05]
    """
    weighted = SOURCE_WEIGHTS / (RANK_SOFTENING + np.maximum(source_ranks, 0))
    return np.asarray(np.where(source_ranks >= 0, weighted, 0).sum(axis=1))


def _raw_columns(c: Candidates, fused: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the columns named `_RAW`, (n, R): log-scaled magnitudes, similarities as they are."""
    expected = c.trend * np.asarray(TREND_HALF_LIVES_S, np.float64)  # events per half-life
    trend = np.log1p(np.maximum(expected, 0))  # (n, H)
    shown = c.impressions + _CLICKS_PRIOR[1]
    clicked = np.minimum(c.clicks, c.impressions) + _CLICKS_PRIOR[0]  # the others carry no rate
    return np.column_stack(
        [
            fused * RANK_SOFTENING,
            trend,
            trend[:, 0] - trend[:, -1],
            np.log1p(c.interactions),
            np.log1p(c.impressions),
            np.log(clicked / shown),
            np.log1p(np.maximum(c.item_age_s, 0) / 3600),
            np.log1p(np.maximum(c.last_event_age_s, 0) / 60),
            *(_magnitude(c, source) for source in _MAGNITUDE_SOURCES),
            c.session_similarity,
            c.encoder_similarity,
            c.last_item_similarity,
            c.category_overlap,
            c.category_affinity,
            np.log1p(c.category_aversion),
            np.log1p(c.vector_aversion),
            np.log1p(c.interactions) - c.history_popularity,
            np.log1p(c.past_times),
        ]
    )


def _magnitude(c: Candidates, source: str) -> NDArray[np.float64]:
    """Return the magnitude of a source's score, (n,), 0 where it did not find the item."""
    column = SOURCES.index(source)
    found = c.source_ranks[:, column] >= 0
    return np.where(found, np.log1p(100 * c.source_scores[:, column].clip(0)), 0)


def _z_of_found(values: NDArray[np.float64], found: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return z-scores of each column over its found rows, 0 elsewhere and in constant columns."""
    count = np.maximum(found.sum(axis=0), 1)
    kept = np.where(found, values, 0)
    mean = kept.sum(axis=0) / count
    centred = np.where(found, values - mean, 0)
    deviation = np.sqrt((centred * centred).sum(axis=0) / count)
    # What rounding leaves of a constant column is no difference between its candidates.
    constant = deviation <= 1e-6 * np.abs(mean) + 1e-12
    return centred / np.where(constant, np.inf, deviation)
