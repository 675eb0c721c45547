"""Rank and re-rank: the order by what the models say, less what is averse, then not all alike.

Law: whatever made the scores, those of items like the rejected ones are lowered before anything is
chosen by them, so that re-ranking, exploration and the end of a list all see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.settings import Settings
from online_models.features import Candidates, compute_features
from online_models.maths.aversion import demoted, demotion
from online_models.maths.mmr import mmr
from online_models.maths.slate_level import at_level_of
from online_models.maths.topk import top_k
from online_models.tasks import GIVEN_CLICK, NEGATIVE, SLATE, TASKS
from serving.fallback_blend import blended
from serving.item_table import ItemTable
from serving.moment import Moment
from serving.profile import Profile, history_categories
from serving.sources.found import Union

RERANK_DEPTH: Final = 4  # times k candidates that re-ranking chooses from

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates as the ranker saw and scored them.

    Attributes:
        union: the n candidates.
        features: (n, n_features) float32; None where they could not be computed.
        scores: (n,) float32, lowered by `factors`; by the blend of the sources where there is no
            ranker.
        factors: (n,) float32 in [0, 1]; 1 for all of somebody who rejected nothing, 0 for an item
            that the user rejected.
        by_ranker: whether the scores are the ranker's.
        sources: (n,) index in `SOURCES` that each is credited to.
    """

    union: Union
    features: Floats | None
    scores: Floats
    factors: Floats
    by_ranker: bool
    sources: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Aversions:
    """Evidence against n candidates.

    Attributes:
        by_category: (n,) float32, 0 or more.
        by_vector: (n,) float32, 0 or more.
    """

    by_category: Floats
    by_vector: Floats

    @classmethod
    def none(cls, n: int) -> Aversions:
        """Return no evidence."""
        return cls(np.zeros(n, np.float32), np.zeros(n, np.float32))


def rank(moment: Moment, union: Union, *, as_slate: bool = False) -> Ranked:
    """Score the candidates; by the blend of the sources when the ranker cannot.

    Args:
        moment: the request.
        union: the candidates.
        as_slate: whether they are all shown, so that the question is which of them is clicked; else
            it is what comes next.
    """
    aversions = moment.stages.run(
        "aversion", partial(_aversions, moment, union), lambda: Aversions.none(len(union))
    )
    features = moment.stages.run(
        "features", partial(_features, moment, union, aversions), lambda: None
    )
    predicted = None
    if moment.bound is not None and features is not None:
        ranker = partial(moment.bound.bundle.probabilities, features)
        predicted = moment.stages.run("rank", ranker, otherwise=lambda: None)
    if predicted is not None:
        predicted = slate_probabilities(predicted) if as_slate else predicted[:, :SLATE]
        scores, sources = task_scores(predicted, moment.settings), union.best_source()
    else:
        scores, sources = blended(moment.table, union, moment.profile.now_ms, moment.blend)
    factors = _factors(moment, union, aversions)
    return Ranked(
        union,
        features,
        demoted(scores, factors),
        factors,
        by_ranker=predicted is not None,
        sources=sources,
    )


def _aversions(moment: Moment, union: Union) -> Aversions:
    aversion = moment.profile.aversion
    return Aversions(
        aversion.to_categories(moment.table, union.rows),
        aversion.to_vectors(moment.bound, union.rows),
    )


def _factors(moment: Moment, union: Union, aversions: Aversions) -> Floats:
    """Return (n,) what the scores are multiplied by.

    By the stronger of the two kinds of evidence: they mostly say the same.
    """
    evidence = np.maximum(aversions.by_category, aversions.by_vector)
    factors = demotion(evidence, moment.settings.rejection_weight)
    if len(moment.profile.unwanted):  # only among the client's own candidates
        factors[np.isin(union.rows, moment.profile.unwanted)] = 0
    return factors


def slate_probabilities(predicted: Floats) -> Floats:
    """Return (n, T) probabilities of the tasks for items that are shown together, as one slate.

    The click's are those of the slate column, brought to the level of the click column: as many
    clicks are expected of the slate, and what is predicted given a click stays.

    Args:
        predicted: (n, C) in the order of `COLUMNS`.

    >>> slate_probabilities(np.array([[0.1, 0.05, 0, 0, 0.5], [0.3, 0.03, 0, 0, 0.5]])).round(3)
    array([[0.2 , 0.1 , 0.  , 0.  ],
           [0.2 , 0.02, 0.  , 0.  ]])
    """
    tasks, slate = predicted[:, :SLATE], predicted[:, SLATE]
    clicks = tasks[:, 0]
    if np.array_equal(clicks, slate):  # no head: the click orders slates, too
        return tasks
    within = at_level_of(clicks, slate)
    changes = np.divide(within, clicks, out=np.ones_like(within), where=clicks > 0)
    found = tasks * np.where(GIVEN_CLICK, changes[:, None], 1)
    found[:, 0] = within
    return found


def task_scores(probabilities: Floats, settings: Settings) -> Floats:
    """Return (n,) scores in [0, 1]: what is to be gained, less the share that would be rejected.

    A score is `gain * (1 - value_negative * P(rejected | responded to))`. As a factor it can never
    make a score negative, which its logarithm must survive, and it weighs the same where clicks are
    rare as where they are not: with `value_negative` 1, an item that is rejected as often as it is
    clicked on has half the score.

    Args:
        probabilities: (n, T) in the order of `TASKS`.
        settings: what the installation values.

    >>> liked, mixed = [0.1, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.5]
    >>> task_scores(np.array([liked, mixed]), Settings(value_negative=1.0)).round(3)
    array([0.1 , 0.05], dtype=float32)
    """
    gain = probabilities @ task_weights(settings)
    kept = 1 - settings.value_negative * probabilities[:, NEGATIVE]
    return np.asarray(gain * kept.clip(0, 1), np.float32)


def task_weights(settings: Settings) -> Floats:
    """Return the (T,) share of each task in what is to be gained; a rejection has none.

    They sum to 1, so that a gain is a probability: of a click, where nothing else is valued.

    >>> task_weights(Settings(value_dwell=1.0, value_conversion=8.0)).round(3)
    array([0.1, 0.1, 0.8, 0. ], dtype=float32)
    """
    values = {"click": 1.0, "dwell": settings.value_dwell, "conversion": settings.value_conversion}
    weights = np.array([values.get(task, 0.0) for task in TASKS])
    return np.asarray(weights / weights.sum(), np.float32)


def rerank(moment: Moment, ranked: Ranked, k: int) -> NDArray[np.int64]:
    """Return the (m <= k,) indices of candidates for the list, best first."""
    best = top_k(ranked.scores, RERANK_DEPTH * k)
    if moment.bound is None:
        return best[:k]
    vectors = moment.bound.vectors[ranked.union.rows[best]]
    diversity = moment.settings.diversity
    # Scores fall by orders of magnitude along a list. As they are, all but the first few would be
    # alike to MMR, and ordered by their vectors alone.
    relevance = np.log(np.maximum(ranked.scores[best], np.finfo(np.float32).tiny))
    diverse = partial(mmr, relevance, vectors, k, diversity)
    order = moment.stages.run("rerank", diverse, otherwise=lambda: np.arange(min(k, len(best))))
    return np.asarray(best[order])


def _features(moment: Moment, union: Union, aversions: Aversions) -> Floats:
    """Return (n, n_features); without a bundle every similarity is 0, which is logged too."""
    table, rows, profile = moment.table, union.rows, moment.profile
    similar = np.zeros((len(rows), 3), np.float32)
    if moment.bound is not None:
        users = np.stack([moment.session, moment.query, profile.last_vector])  # (3, d)
        similar = moment.bound.vectors[rows] @ users.T  # (n, 3)
    return compute_features(
        Candidates(
            source_scores=union.scores,
            source_ranks=union.ranks,
            trend=table.rates_at(rows, profile.now_ms),
            interactions=table.interactions[rows].astype(np.float32),
            impressions=table.impressions[rows].sum(axis=1, dtype=np.float32),
            clicks=table.clicks[rows].sum(axis=1, dtype=np.float32),
            item_age_s=_ages_s(table, rows, profile.now_ms),
            last_event_age_s=_since_last_event_s(table, rows, profile.now_ms),
            session_similarity=similar[:, 0],
            encoder_similarity=similar[:, 1],
            last_item_similarity=similar[:, 2],
            category_overlap=_category_overlap(table, rows, profile),
            category_affinity=_category_affinity(table, rows, profile),
            category_aversion=aversions.by_category,
            vector_aversion=aversions.by_vector,
            past_times=profile.past.times_at(rows).astype(np.float32),
            history_popularity=_history_popularity(table, profile),
            history_length=int(profile.liked.sum()),
            past_length=len(profile.past.rows),
            rejections=len(profile.unwanted),
            idle_s=profile.idle_s,
        )
    )


def _ages_s(table: ItemTable, rows: NDArray[np.int64], now_ms: int) -> Floats:
    """Return (n,) seconds since each item was created, or else first acted on; 0 = neither."""
    created = table.created_ts_ms[rows]
    since = np.where(created > 0, created, table.first_ts_ms[rows])
    return np.where(since > 0, np.maximum(now_ms - since, 0) / 1000, 0).astype(np.float32)


def _since_last_event_s(table: ItemTable, rows: NDArray[np.int64], now_ms: int) -> Floats:
    """Return (n,) seconds since each item was acted on; since it was created, without an event."""
    last = table.last_ts_ms[rows]
    since = np.maximum(now_ms - last, 0) / 1000
    return np.where(last > 0, since, _ages_s(table, rows, now_ms)).astype(np.float32)


def _history_popularity(table: ItemTable, profile: Profile) -> float:
    """Return the mean log popularity of the liked items of the history, 0 without any."""
    rows = profile.liked_rows
    return float(np.log1p(table.interactions[rows]).mean()) if len(rows) else 0.0


def _category_affinity(table: ItemTable, rows: NDArray[np.int64], profile: Profile) -> Floats:
    """Return (n,) cosine in [0, 1] of each item's categories and those of the liked items."""
    codes = table.codes(rows)  # (n, category_width)
    carried = np.sqrt(np.maximum((codes >= 0).sum(axis=1), 1))
    return np.asarray(profile.taste[codes].sum(axis=1) / carried, np.float32)


def _category_overlap(table: ItemTable, rows: NDArray[np.int64], profile: Profile) -> Floats:
    """Return (n,) share in [0, 1] of each item's categories that the liked items hold."""
    held = np.zeros(len(table.category_codes) + 1, bool)  # the last one stands for code -1
    held[history_categories(profile, table)] = True
    codes = table.codes(rows)  # (n, category_width)
    shares = held[codes].sum(axis=1) / np.maximum((codes >= 0).sum(axis=1), 1)
    return np.asarray(shares, np.float32)
