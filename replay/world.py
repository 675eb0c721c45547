"""A small invented world whose truth is known: items, people, tastes, and how people click.

Law: a function of the plan alone. What happens in it is `replay.generator`'s; here is only what is
true. Items have a category and a collection in it, a popularity (Zipf), a quality, a time of
release and a few natural successors; people have tastes over categories, some of which change at
one known time. A person clicks the item at position k with probability

    examination[k] * logistic(BASE + TASTE * log(taste ratio) + FOLLOWS * successor + quality)

(the position-based click model: Richardson, Dominowska & Ragno 2007). Of what is looked at and not
clicked, a person rejects what fits them badly, by the same taste and quality:

    examination[k] * REJECTION * logistic(-(REJECTION_BASE + TASTE * log(taste ratio) + quality))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.titles import CATEGORIES, make_titles

SUCCESSORS = 4
COLLECTION_SIZE = 8
NEW_SHARE = 0.2  # of the items appears while the log runs
DRIFTING_SHARE = 0.5  # of the people changes tastes at the drift
ZIPF_EXPONENT = 0.9
EXAMINATION = np.array([1.0, 0.75, 0.58, 0.46, 0.38])  # by position, from the top
BASE, TASTE, FOLLOWS = -2.2, 0.9, 2.6
REJECTION, REJECTION_BASE = 0.06, 1.5  # the most that is rejected; how bad a fit must be
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to generate.

    Attributes:
        drift_at: when tastes change, as a share of the time span; 1 = never.
        end_ts_ms: when the log ends.
    """

    users: int = 1000
    items: int = 1000
    days: float = 7.0
    seed: int = 1
    drift_at: float = 0.6
    end_ts_ms: int = 1_767_225_600_000  # 2026-01-01

    def __post_init__(self) -> None:
        if self.users < 1 or self.items < 2 * len(CATEGORIES) or not 0 < self.days <= 3650:
            raise ValueError(
                f"{self.users} users, {self.items} items, {self.days:g} days; expected at least 1 "
                f"user, {2 * len(CATEGORIES)} items and up to 3650 days"
            )
        if not 0 <= self.drift_at <= 1:
            raise ValueError(f"drift_at is {self.drift_at:g}, expected a share from 0 to 1")

    @property
    def span_s(self) -> float:
        """Seconds from the first moment to the last."""
        return self.days * DAY_S

    @property
    def start_ts_ms(self) -> int:
        """When the log begins."""
        return self.end_ts_ms - int(self.span_s * 1000)


@dataclass(frozen=True, slots=True)
class World:
    """What is true.

    Attributes:
        category: (items,) index into `CATEGORIES`.
        collection: (items,) number within the category; people stay in a collection.
        popularity: (items,) weight, the most popular 1.
        quality: (items,) added to the click's log-odds.
        released_s: (items,) seconds from the start of the log; negative = before it.
        price: (items,).
        successors: (items, SUCCESSORS) items that naturally follow.
        titles: of each item.
        activity: (users,) sessions a day.
        tastes: (2, users, categories) before and after the drift, each row sums to 1.
        drift_s: when tastes change, seconds from the start.
    """

    category: NDArray[np.int64]
    collection: NDArray[np.int64]
    popularity: NDArray[np.float64]
    quality: NDArray[np.float64]
    released_s: NDArray[np.float64]
    price: NDArray[np.float64]
    successors: NDArray[np.int64]
    titles: list[str]
    activity: NDArray[np.float64]
    tastes: NDArray[np.float64]
    drift_s: float

    def click_probability(
        self,
        users: NDArray[Any],
        items: NDArray[Any],
        last_items: NDArray[Any],
        *,
        positions: NDArray[Any],
        time_s: NDArray[Any],
    ) -> NDArray[np.float64]:
        """Return the probability of a click, broadcast over all arguments.

        Args:
            users: index.
            items: index.
            last_items: index of the item clicked before in the session, -1 = none.
            positions: from 0.
            time_s: seconds from the start of the log.
        """
        follows = (self.successors[last_items] == items[..., None]).any(-1) & (last_items >= 0)
        logit = BASE + self.fit(users, items, time_s=time_s) + FOLLOWS * follows
        return np.asarray(EXAMINATION[positions] / (1 + np.exp(-logit)))

    def rejection_probability(
        self,
        users: NDArray[Any],
        items: NDArray[Any],
        *,
        positions: NDArray[Any],
        time_s: NDArray[Any],
    ) -> NDArray[np.float64]:
        """Return the probability that an item that was not clicked is rejected, broadcast.

        Args:
            users: index.
            items: index.
            positions: from 0.
            time_s: seconds from the start of the log.
        """
        logit = REJECTION_BASE + self.fit(users, items, time_s=time_s)
        return np.asarray(EXAMINATION[positions] * REJECTION / (1 + np.exp(logit)))

    def fit(
        self, users: NDArray[Any], items: NDArray[Any], *, time_s: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the log-odds that taste and quality add to a click, broadcast."""
        after = (time_s >= self.drift_s).astype(np.int64)
        ratio = self.tastes[after, users, self.category[items]] * len(CATEGORIES)
        return np.asarray(TASTE * np.log(ratio + 0.05) + self.quality[items])


def make_world(plan: Plan, rng: np.random.Generator) -> World:
    """Return the world of a plan."""
    n_items, n_categories = plan.items, len(CATEGORIES)
    category = rng.permutation(np.arange(n_items) % n_categories)
    collection = _collections(category)
    popularity = np.power(1.0 + rng.permutation(n_items), -ZIPF_EXPONENT)
    released_s = -rng.uniform(0, 60 * DAY_S, n_items)
    # The first item of each category is always there, so that nobody is ever out of choice.
    candidates = np.setdiff1d(np.arange(n_items), np.unique(category, return_index=True)[1])
    new = rng.choice(candidates, min(int(NEW_SHARE * n_items), len(candidates)), replace=False)
    released_s[new] = rng.uniform(0, plan.span_s, len(new))
    tastes = rng.dirichlet(np.full(n_categories, 0.3), plan.users)
    drifting = rng.random(plan.users) < DRIFTING_SHARE
    changed = rng.dirichlet(np.full(n_categories, 0.3), plan.users)
    return World(
        category=category,
        collection=collection,
        popularity=popularity,
        quality=rng.normal(0, 0.5, n_items),
        released_s=released_s,
        price=np.round(rng.lognormal(2.2, 0.5, n_items), 2),
        successors=_successors(category, collection, rng),
        titles=make_titles(category.tolist(), rng),
        activity=rng.lognormal(-0.9, 0.8, plan.users),
        tastes=np.stack([tastes, np.where(drifting[:, None], changed, tastes)]),
        drift_s=plan.drift_at * plan.span_s if plan.drift_at < 1 else np.inf,
    )


def _collections(category: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (items,) the collection of each item: COLLECTION_SIZE items of one category."""
    found = np.zeros(len(category), np.int64)
    for index in range(category.max() + 1):
        members = np.flatnonzero(category == index)
        found[members] = np.arange(len(members)) // COLLECTION_SIZE
    return found


def _successors(
    category: NDArray[np.int64], collection: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return (items, SUCCESSORS) items: the next ones of the collection, and one of any kind."""
    n_items = len(category)
    found = rng.integers(0, n_items, (n_items, SUCCESSORS))
    order = np.lexsort((collection, category))
    kinds = category[order] * n_items + collection[order]
    _, starts, sizes = np.unique(kinds, return_index=True, return_counts=True)
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        members = order[start : start + size]
        for step in range(1, SUCCESSORS):
            found[members, step - 1] = np.roll(members, -step)
    return found
