"""Why an item is in the list, in words for the person who reads it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import EVENT_TYPES, PREFERENCE
from online_models.features import SOURCES
from serving.item_table import ItemTable
from serving.moment import Moment
from serving.profile import Profile
from serving.sources.found import Union

BARELY_SHOWN: Final = 50  # impressions
_DID: Final = {
    "click": "opened",
    "view": "viewed",
    "dwell": "spent time on",
    "like": "liked",
    "cart": "put in your cart",
    "purchase": "bought",
    "rating": "rated",
}
_TITLE_SHOWN: Final = 60  # characters


def reasons(
    moment: Moment, chosen: Union, sources: NDArray[np.int64], explored: NDArray[np.bool_]
) -> list[str]:
    """Return a reason for each chosen candidate.

    Args:
        moment: the request.
        chosen: the n candidates of the answer.
        sources: (n,) index in `SOURCES` that each is credited to.
        explored: (n,) whether the bandit drew it.
    """
    table, profile = moment.table, moment.profile
    visits = _nearest_visits(moment, chosen)
    words = []
    for index, (row, source) in enumerate(zip(chosen.rows, sources, strict=True)):
        if explored[index]:
            barely = table.impressions[row].sum() < BARELY_SHOWN
            words.append("exploring: few have seen this yet" if barely else "exploring")
        elif SOURCES[source] == "session":
            words.append(_because_of(table, profile, visits[index]))
        elif SOURCES[source] == "covisitation":
            title = _title(table, chosen.because[index, source])
            words.append(f"often next after {title}" if title else "often next for others")
        elif SOURCES[source] == "new":
            entry = table.entries[row]
            words.append(f"new in {entry.categories[0]}" if entry and entry.categories else "new")
        else:
            words.append(f"{SOURCES[source]} now")
    return words


def _nearest_visits(moment: Moment, chosen: Union) -> NDArray[np.int64]:
    """Return (n,) index in the history of the liked item nearest to each candidate, -1 = none."""
    profile = moment.profile
    liked = np.flatnonzero(profile.known & (PREFERENCE[profile.types] > 0))
    if moment.bound is None or not len(liked):
        return np.full(len(chosen), -1)
    nearness = moment.bound.vectors[chosen.rows] @ profile.vectors[liked].T  # (n, n_liked)
    return np.asarray(liked[nearness.argmax(axis=1)])


def _because_of(table: ItemTable, profile: Profile, visit: int) -> str:
    title = _title(table, profile.rows[visit]) if visit >= 0 else ""
    if not title:
        return "close to what you looked at"
    return f"because you {_DID[EVENT_TYPES[profile.types[visit]]]} {title}"


def _title(table: ItemTable, row: int) -> str:
    """Return the title of an item, cut where it is long; "" when the catalogue has none."""
    entry = table.entries[row] if row >= 0 else None
    title = entry.title if entry else ""
    return title if len(title) <= _TITLE_SHOWN else f"{title[: _TITLE_SHOWN - 1].rstrip()}…"
