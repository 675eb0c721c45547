"""A user as the funnel sees them: the state read from Redis, met with the vectors of a bundle.

Law: only what the user accepted leads to other items. An event counts by its sign, and an item that
the user rejected counts for nothing at all, also where it was visited before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import ENCODED, PREFERENCE, REJECTION, VISIT
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH, history_newest_first
from freshet.core.state.unwanted import unexpired
from online_models.maths.session import SESSION_EVENTS, direction, session_embedding
from serving.aversion import Aversion, Evidence
from serving.item_table import ItemTable, Rows
from serving.live_bundle import BoundBundle
from serving.past import Past
from serving.user_state import UserState

Floats = NDArray[np.float32]
_NOTHING: Final = np.zeros(EMBEDDING_DIM, np.float32)


@dataclass(frozen=True, slots=True)
class Profile:
    """A user at the time of a request.

    Attributes:
        user: the state as read.
        now_ms: event time of the request.
        hashes: (n,) uint32, items of the history, newest first.
        rows: (n,) their rows, -1 where one has none.
        types: (n,) codes of their event types.
        ages_s: (n,) float32, seconds from each to `now_ms`.
        vectors: (n, EMBEDDING_DIM) float32, zero where not known.
        known: (n,) bool, whether a vector is known.
        liked: (n,) bool, whether the event speaks for the item, and the user has not rejected it.
        unwanted: (u,) rows of the items that the user rejected, -1 where one has none; they are
            never shown.
        past: what the user acted on before the history, without what they rejected.
        taste: (n_categories + 1,) share of each category in what is liked, unit norm or zero; the
            last entry, which code -1 names, is zero.
        aversion: to what is like the rejected.
    """

    user: UserState
    now_ms: int
    hashes: NDArray[np.uint32]
    rows: Rows
    types: NDArray[np.int64]
    ages_s: Floats
    vectors: Floats
    known: NDArray[np.bool_]
    liked: NDArray[np.bool_]
    unwanted: Rows
    past: Past
    taste: Floats
    aversion: Aversion

    @property
    def idle_s(self) -> float:
        """Seconds since the user's newest event; 0 for a user without events."""
        return (self.now_ms - int(self.user.record["last_ts_ms"])) / 1000 if self.user.known else 0

    @property
    def last_liked(self) -> int:
        """Place in the history of the newest liked item that has a vector, -1 without one."""
        newest = np.flatnonzero(self.known & self.liked)[:1]
        return int(newest[0]) if len(newest) else -1

    @property
    def last_vector(self) -> Floats:
        """Vector of the newest liked item that has one, (EMBEDDING_DIM,); zero without one."""
        return np.asarray(self.vectors[self.last_liked]) if self.last_liked >= 0 else _NOTHING

    @property
    def liked_rows(self) -> Rows:
        """Rows of the liked items of the history, newest first."""
        return self.rows[self.liked & (self.rows >= 0)]

    def last_visits(self, most: int) -> list[int]:
        """Return the rows of the items visited last, each once, newest first."""
        visits = self.rows[VISIT[self.types] & self.liked & (self.rows >= 0)]
        return list(dict.fromkeys(visits.tolist()))[:most]


def meet(
    user: UserState, table: ItemTable, bound: BoundBundle | None, unwanted_ttl_s: int = 0
) -> Profile:
    """Return the profile of a user over the rows of the table and the vectors of a bundle.

    Args:
        user: the state as read.
        table: the item state.
        bound: the bundle in use.
        unwanted_ttl_s: a rejection so old has expired; 0 = none ever does.
    """
    history = history_newest_first(user.record)
    hashes = history["item"]
    rows = table.rows_of_hashes(hashes)
    types = history["type"].astype(np.int64)
    now_ms = max(table.now_ms, int(user.record["last_ts_ms"]))
    ages_s = np.maximum(now_ms / 1000 - history["ts_s"], 0).astype(np.float32)
    unwanted = unexpired(user.unwanted, now_ms / 1000, unwanted_ttl_s)
    liked = (PREFERENCE[types] > 0) & ~np.isin(hashes, unwanted["item"])
    vectors = np.zeros((len(rows), EMBEDDING_DIM), np.float32)
    known = np.zeros(len(rows), bool)
    if bound is not None:
        known = (rows >= 0) & bound.has_vector[rows]
        vectors[known] = bound.vectors[rows[known]]
    unwanted_rows = table.rows_of_hashes(unwanted["item"])
    skipped = (PREFERENCE[types] < 0) & ~REJECTION[types]
    past = user.past[~np.isin(user.past, unwanted["item"])]
    return Profile(
        user=user,
        now_ms=now_ms,
        hashes=hashes,
        rows=rows,
        types=types,
        ages_s=ages_s,
        vectors=vectors,
        known=known,
        liked=liked,
        unwanted=unwanted_rows,
        past=Past.of(table.rows_of_hashes(past), rows),
        taste=_taste(rows, liked, table),
        aversion=Aversion.of(
            table,
            Evidence.of(
                np.concatenate([unwanted_rows, rows[skipped]]),
                np.concatenate([unwanted["type"], types[skipped]]),
                np.concatenate([now_ms / 1000 - unwanted["ts_s"], ages_s[skipped]]),
            ),
            Evidence.of(rows[liked], types[liked], ages_s[liked]),
        ),
    )


def unwanted_rows(user: UserState, table: ItemTable, unwanted_ttl_s: int) -> Rows:
    """Return the rows of what a user rejected, for a list that is made without a profile."""
    now_ms = max(table.now_ms, int(user.record["last_ts_ms"]))
    return table.rows_of_hashes(unexpired(user.unwanted, now_ms / 1000, unwanted_ttl_s)["item"])


def session_vector(profile: Profile, bound: BoundBundle, half_life_s: float) -> Floats:
    """Return the session embedding, (EMBEDDING_DIM,) unit or zero.

    The stored one speaks the language of the bundle that made it, and does not know yet what the
    user rejects later: an item that was visited, and then rejected, only pushes away.
    """
    record = profile.user.record
    newest = slice(SESSION_EVENTS)
    weights = PREFERENCE[profile.types[newest]]
    refuted = (weights > 0) & ~profile.liked[newest]
    if int(record["model_tag"]) == bound.bundle.tag and not refuted.any():
        return direction(record["embedding"])
    if not len(profile.rows):
        return _NOTHING
    vectors, weights = profile.vectors[newest], np.where(refuted, np.float32(0), weights)
    ages_s = profile.ages_s[newest] - profile.ages_s.min()
    embedding = session_embedding(vectors[None], weights[None], ages_s[None], half_life_s)
    return np.asarray(embedding[0])


def encoded_vector(profile: Profile, bound: BoundBundle) -> Floats:
    """Return what the sequence encoder makes of the history, (EMBEDDING_DIM,) unit or zero.

    It reads the types that it was trained on, of items that the user has not rejected.
    """
    known = profile.known & ENCODED[profile.types] & profile.liked
    if not known.any():
        return _NOTHING
    used = int(known.sum())
    mask = np.zeros((1, HISTORY_LENGTH), bool)
    mask[:, :used] = True
    users = bound.bundle.encode(
        _padded(profile.vectors[known]),
        _padded(profile.types[known]),
        _padded(profile.ages_s[known]),
        mask,
    )
    return np.asarray(users[0])


def history_categories(profile: Profile, table: ItemTable) -> NDArray[np.int32]:
    """Return the codes of all categories of what is liked in the history, each once."""
    codes = np.unique(table.codes(profile.liked_rows))
    return codes[codes >= 0]


def _taste(rows: Rows, liked: NDArray[np.bool_], table: ItemTable) -> Floats:
    """Return the taste of a history; newer items count for more: the j-th weighs 1 / sqrt(j)."""
    taste = np.zeros(len(table.category_codes) + 1, np.float32)
    counted = liked & (rows >= 0)
    codes = table.codes(rows[counted])  # (h, category_width)
    weights = 1 / np.sqrt(1 + np.flatnonzero(counted))
    np.add.at(taste, codes, weights[:, None])
    taste[-1] = 0
    return taste / max(float(np.linalg.norm(taste)), 1e-12)


def _padded(values: NDArray[Any]) -> NDArray[Any]:
    """Return (1, HISTORY_LENGTH, ...) with zeros behind the values."""
    padded = np.zeros((1, HISTORY_LENGTH, *values.shape[1:]), values.dtype)
    padded[0, : len(values)] = values
    return padded
