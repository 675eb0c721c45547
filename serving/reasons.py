"""Why an item is in the list, in words for the person who reads it.

Law: a reason never names what the person rejected, neither an item nor a category.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

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
    "share": "shared",
    "follow": "followed",
}
_TITLE_SHOWN: Final = 60  # characters


class _Choice(NamedTuple):
    """A candidate of the answer: its row, the row that led to it, and the nearest visit."""

    table: ItemTable
    profile: Profile
    row: int
    because: int
    visit: int


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
    because = chosen.because[np.arange(len(chosen)), sources]
    because = np.where(np.isin(because, profile.unwanted), -1, because).tolist()
    unwanted = np.isin(chosen.rows, profile.unwanted)
    visits = _nearest_visits(moment, chosen).tolist()
    is_found = chosen.is_found.tolist()
    words = []
    for index, (row, source) in enumerate(zip(chosen.rows.tolist(), sources, strict=True)):
        if unwanted[index]:
            words.append("you said that this is not for you")
        elif explored[index]:
            barely = table.impressions[row].sum() < BARELY_SHOWN
            words.append("exploring: few have seen this yet" if barely else "exploring")
        else:
            choice = _Choice(table, profile, row, because[index], visits[index])
            say = _WORDS[SOURCES[source]] if is_found[index] else _because_of_page
            words.append(say(choice))
    return words


def _because_of(choice: _Choice) -> str:
    table, profile, visit = choice.table, choice.profile, choice.visit
    title = _title(table, profile.rows[visit]) if visit >= 0 else ""
    if not (PREFERENCE[profile.types] > 0).any():  # rejections alone lead away from them
        return "picked for you"
    if not title:
        return "close to what you looked at"
    return f"because you {_DID[EVENT_TYPES[profile.types[visit]]]} {title}"


def _because_of_page(choice: _Choice) -> str:
    """Say why a client's own candidate is there that no source found."""
    return _because_of(choice) if choice.visit >= 0 else "chosen for this page"


def _often_next(choice: _Choice) -> str:
    title = _title(choice.table, choice.because)
    return f"often next after {title}" if title else "often next for others"


def _close_to(choice: _Choice) -> str:
    return f"close to {_title(choice.table, choice.because) or 'what you looked at'}"


def _new_in(choice: _Choice) -> str:
    categories = _categories(choice)
    return f"new in {categories[0]}" if categories else "new"


def _popular_in(choice: _Choice) -> str:
    """Name the category of the item that the user acts on most."""
    categories = _categories(choice)
    if not categories:
        return "popular now"
    taste, code = choice.profile.taste, choice.table.category_codes
    return f"popular in {max(categories, key=lambda name: taste[code[name]])}"


_WORDS: Final[dict[str, Callable[[_Choice], str]]] = {
    "session": _because_of,
    "covisitation": _often_next,
    "transitions": _often_next,
    "neighbours": lambda _: "people like you looked at this too",
    "past": lambda _: "you came to this before",
    "similar": _close_to,
    "category": _popular_in,
    "trending": lambda _: "trending now",
    "new": _new_in,
    "popular": lambda _: "popular now",
}


def _nearest_visits(moment: Moment, chosen: Union) -> NDArray[np.int64]:
    """Return (n,) index in the history of the liked item nearest to each candidate, -1 = none."""
    profile = moment.profile
    liked = np.flatnonzero(profile.known & profile.liked)
    if moment.bound is None or not len(liked):
        return np.full(len(chosen), -1)
    nearness = moment.bound.vectors[chosen.rows] @ profile.vectors[liked].T  # (n, n_liked)
    return np.asarray(liked[nearness.argmax(axis=1)])


def _categories(choice: _Choice) -> list[str]:
    """Return the categories of the item that may be named."""
    entry = choice.table.entries[choice.row]
    code, rejected = choice.table.category_codes, choice.profile.aversion.outweighed
    return [name for name in entry.categories if not rejected[code[name]]] if entry else []


def _title(table: ItemTable, row: int) -> str:
    """Return the title of an item, cut where it is long; "" when the catalogue has none."""
    entry = table.entries[row] if row >= 0 else None
    title = entry.title if entry else ""
    return title if len(title) <= _TITLE_SHOWN else f"{title[: _TITLE_SHOWN - 1].rstrip()}…"
