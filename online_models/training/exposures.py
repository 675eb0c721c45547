"""Requests in the middle of a log: the candidates that serving would have found, as features.

Law: features come from `compute_features` alone, and the candidates from all sources alike, so
that a ranker learns on what it will be asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import PREFERENCE, VISIT
from freshet.core.settings import Settings
from online_models.features import SOURCES, Candidates, compute_features, fused_ranks
from online_models.maths.session import session_embedding
from online_models.maths.topk import top_k
from online_models.sources import LAST_VISITS, NEW_ITEM_AGE_S, QUOTAS, visit_weights
from online_models.training.encoder import EncoderModel
from online_models.training.histories import Histories, HistoryBatch
from online_models.training.log import TrainingLog
from online_models.training.past import Past

Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows that a source found, best first, and their scores."""

_NOTHING: Found = (np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class Exposure:
    """One request, as it would have been ranked, and what the user then did.

    Attributes:
        event: the event that followed.
        target: index of its item among the candidates, -1 when no source had found it.
        features: (n, F) float32.
        ranks: (n, n_sources) rank within each source, -1 = not found by it.
    """

    event: int
    target: int
    features: NDArray[np.float32]
    ranks: NDArray[np.int64]


class Exposures:
    """Asks for candidates at events of a log, in the order of time."""

    def __init__(self, log: TrainingLog, model: EncoderModel, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self._model = model
        self._vectors = model.item_vectors()
        self._histories = Histories(log)
        self._past = Past(log, settings)
        self._categories = _category_matrix(log)

    def at(self, events: NDArray[np.int64]) -> list[Exposure]:
        """Return an exposure for each of (n,) events.

        Args:
            events: in the order in which they were asked for, none before those of earlier calls.

        Raises:
            ValueError: when time would have to run backwards.
        """
        batch = self._histories.before(events)
        users = self._model.encode(self._vectors, batch)
        nearness = users @ self._vectors.T  # (n, n_items)
        found = []
        for number, event in enumerate(events.tolist()):
            asked_at = int(self._histories.asked_at[event])
            if asked_at < self._past.now:
                raise ValueError(f"event {event} was asked for before event {self._past.now}")
            self._past.advance(asked_at)
            found.append(self._expose(event, batch, users[number], nearness[number], number))
        return found

    def _expose(
        self,
        event: int,
        batch: HistoryBatch,
        user: NDArray[np.float32],
        nearness: NDArray[np.float32],
        number: int,
    ) -> Exposure:
        used = batch.mask[number]
        items, types = batch.items[number][used], batch.types[number][used]
        ages_s = batch.ages_s[number][used]
        available = self._histories.available(event)
        available[items] = False  # seen
        session = self._session(items, types, ages_s)
        finds = self._find(available, items, types, nearness)
        rows, scores, ranks = _union(finds, self._settings.candidates)
        features = compute_features(
            self._candidates(rows, scores, ranks, items, ages_s, session, user)
        )
        target = np.flatnonzero(rows == self._log.item[event])
        return Exposure(event, int(target[0]) if len(target) else -1, features, ranks)

    # --- the sources, as in serving ---

    def _find(
        self,
        available: NDArray[np.bool_],
        items: NDArray[np.int64],
        types: NDArray[np.int64],
        nearness: NDArray[np.float32],
    ) -> list[Found]:
        orders = self._past.orders()
        by_name = {
            "session": self._find_session(available, nearness),
            "covisitation": self._find_covisits(items[VISIT[types]]),
            "trending": orders.trending,
            "new": self._find_new(available, nearness),
            "popular": orders.popular,
        }
        finds = []
        for name in SOURCES:
            rows, scores = by_name[name]
            offered = available[rows]
            quota = int(QUOTAS[name] * self._settings.candidates)
            finds.append((rows[offered][:quota], scores[offered][:quota]))
        return finds

    def _find_session(self, available: NDArray[np.bool_], nearness: NDArray[np.float32]) -> Found:
        if not nearness.any():
            return _NOTHING
        quota = int(QUOTAS["session"] * self._settings.candidates)
        best = top_k(np.where(available, nearness, -np.inf), quota)
        return best, nearness[best]

    def _find_covisits(self, visits: NDArray[np.int64]) -> Found:
        last = list(dict.fromkeys(visits.tolist()))[:LAST_VISITS]
        votes = [self._past.transitions(row) for row in last]
        if not sum(len(rows) for rows, _ in votes):
            return _NOTHING
        weights = np.repeat(visit_weights(len(last)), [len(rows) for rows, _ in votes])
        rows, place = np.unique(np.concatenate([rows for rows, _ in votes]), return_inverse=True)
        scores = np.bincount(place, np.concatenate([shares for _, shares in votes]) * weights)
        best = top_k(scores, len(scores))
        return rows[best], scores[best].astype(np.float32)

    def _find_new(self, available: NDArray[np.bool_], nearness: NDArray[np.float32]) -> Found:
        """Return new items; as in serving, only those whose creation the catalogue names."""
        quota = int(QUOTAS["new"] * self._settings.candidates)
        created = self._log.created_ts_ms
        recent = (created > self._past.now_ms - NEW_ITEM_AGE_S * 1000) & available
        rows = np.flatnonzero(recent)
        if not len(rows):
            return _NOTHING
        newest = rows[top_k(created[rows], 4 * quota)]
        if nearness.any():
            best = newest[top_k(nearness[newest], quota)]
            return best, nearness[best]
        age_days = (created[newest] - self._past.now_ms) / 86_400_000
        return newest[:quota], age_days[:quota].astype(np.float32)

    # --- the features, as in serving ---

    def _session(
        self, items: NDArray[np.int64], types: NDArray[np.int64], ages_s: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if not len(items):
            return np.zeros(self._vectors.shape[1], np.float32)
        sessions = session_embedding(
            self._vectors[items][None],
            PREFERENCE[types][None],
            (ages_s - ages_s.min())[None],
            self._settings.session_half_life_s,
        )
        return np.asarray(sessions[0])

    def _candidates(
        self,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
        ranks: NDArray[np.int64],
        items: NDArray[np.int64],
        ages_s: NDArray[np.float32],
        session: NDArray[np.float32],
        user: NDArray[np.float32],
    ) -> Candidates:
        past = self._past
        vectors = self._vectors[rows]
        last = self._vectors[items[0]] if len(items) else np.zeros_like(session)
        liked = self._categories[items].any(axis=0).astype(np.float32)
        carried = self._categories[rows].astype(np.float32)
        return Candidates(
            source_scores=scores,
            source_ranks=ranks,
            trend=past.rates(rows),
            interactions=past.interactions[rows].astype(np.float32),
            impressions=past.impressions[rows].astype(np.float32),
            clicks=past.clicks[rows].astype(np.float32),
            item_age_s=past.ages_s(rows),
            session_similarity=vectors @ session,
            encoder_similarity=vectors @ user,
            last_item_similarity=vectors @ last,
            category_overlap=carried @ liked / np.maximum(carried.sum(axis=1), 1),
            history_length=len(items),
            idle_s=float(ages_s.min()) if len(ages_s) else 0.0,
        )


def _union(
    finds: list[Found], most: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Return the rows that any source found, best first by fused rank, with scores and ranks."""
    rows, place = np.unique(np.concatenate([found for found, _ in finds]), return_inverse=True)
    scores = np.zeros((len(rows), len(finds)), np.float32)
    ranks = np.full((len(rows), len(finds)), -1, np.int64)
    start = 0
    for column, (found, values) in enumerate(finds):
        at = place[start : start + len(found)]
        scores[at, column], ranks[at, column] = values, np.arange(len(found))
        start += len(found)
    best = top_k(fused_ranks(ranks), most)
    return rows[best], scores[best], ranks[best]


def _category_matrix(log: TrainingLog) -> NDArray[np.bool_]:
    """Return (n_items, n_categories) bool."""
    codes: dict[str, int] = {}
    for item in log.items:
        for category in item.categories:
            codes.setdefault(category, len(codes))
    matrix = np.zeros((len(log.items), max(len(codes), 1)), np.bool_)
    for row, item in enumerate(log.items):
        matrix[row, [codes[category] for category in item.categories]] = True
    return matrix
