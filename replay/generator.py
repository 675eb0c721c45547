"""What people do in an invented world: sessions of slates, impressions, clicks and what follows.

Law: a function of the plan alone. Sessions are independent of one another, so step k of all
sessions is drawn at once, in arrays. A slate holds items that follow the last click, items of the
person's taste and popular items, in random order; a click moves the session to another item, which
is what co-visitation and a sequence encoder can learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import TYPE_CODES
from replay.titles import CATEGORIES
from replay.world import DAY_S, EXAMINATION, SUCCESSORS, Plan, World, make_world

SLATE_SIZE = len(EXAMINATION)
FOLLOWING_SLOTS, POPULAR_SLOTS = 2, 1  # of a slate; the rest is of the person's taste
MEAN_SLATES, MOST_SLATES = 4.0, 20  # in a session
STEP_S = 45.0  # mean time between two slates
NOVELTY, NOVELTY_S = 3.0, DAY_S  # a release is this much more popular at first, fading so fast
REDRAWS = 6
# After a click: type, probability. The value is drawn in `_values`.
AFTERMATH = (("dwell", 0.45), ("like", 0.10), ("cart", 0.06), ("purchase", 0.03), ("rating", 0.05))
# What a rejection is: type, share. How probable one is, the world says.
REJECTIONS = (("hide", 0.7), ("dislike", 0.25), ("report", 0.05))
STARS, STARS_OF_FIT = 3.0, 0.6  # of a rating: of an item that fits as most do, and for more of it

EVENT_DTYPE = np.dtype(
    [
        ("ts_ms", "i8"),
        ("type", "i8"),
        ("user", "i8"),
        ("item", "i8"),
        ("session", "i8"),
        ("slate", "i8"),
        ("position", "i8"),
        ("value", "f8"),
    ]
)


@dataclass(frozen=True, slots=True)
class _Sessions:
    user: NDArray[np.int64]
    start_s: NDArray[np.float64]
    slates: NDArray[np.int64]


def generate(plan: Plan) -> tuple[World, NDArray[np.void]]:
    """Return the world of a plan and what happened in it.

    Returns:
        The truth, and (events,) of `EVENT_DTYPE` in the order of time; `type` is a type code,
        `value` NaN where the type has none.
    """
    rng = np.random.default_rng(plan.seed)
    world = make_world(plan, rng)
    sessions = _make_sessions(plan, world, rng)
    events = np.concatenate(list(_live(plan, world, sessions, rng)))
    events = events[events["ts_ms"] <= plan.end_ts_ms]
    return world, events[np.argsort(events["ts_ms"], kind="stable")]


def _make_sessions(plan: Plan, world: World, rng: np.random.Generator) -> _Sessions:
    counts = rng.poisson(world.activity * plan.days)
    counts[counts.argmax()] += counts.sum() == 0  # somebody comes, however short the time
    user = np.repeat(np.arange(plan.users), counts)
    # People sleep: of two moments the one nearer to the evening is more often the real one.
    moments = rng.uniform(0, plan.span_s, (2, len(user)))
    evening = np.cos((moments / DAY_S - 20 / 24) * 2 * np.pi)
    start_s = np.where(evening[0] > evening[1], moments[0], moments[1])
    slates = np.minimum(rng.geometric(1 / MEAN_SLATES, len(user)), MOST_SLATES)
    return _Sessions(user, start_s, slates)


def _live(
    plan: Plan, world: World, sessions: _Sessions, rng: np.random.Generator
) -> Iterator[NDArray[np.void]]:
    """Yield what happens at step 0 of all sessions, then at step 1 of those that go on, ..."""
    draw = _ItemDraw(world, rng)
    last_item = np.full(len(sessions.user), -1)
    now_s = sessions.start_s.copy()
    for step in range(int(sessions.slates.max())):
        active = np.flatnonzero(sessions.slates > step)
        user, time_s, last = sessions.user[active], now_s[active], last_item[active]
        items, shown = _slates(world, draw=draw, user=user, last=last, time_s=time_s, rng=rng)
        positions = np.broadcast_to(np.arange(SLATE_SIZE), items.shape)
        chance = world.click_probability(
            user[:, None], items, last[:, None], positions=positions, time_s=time_s[:, None]
        )
        clicked = shown & (rng.random(items.shape) < chance)
        slate = (active * MOST_SLATES + step)[:, None]
        rows = np.zeros(items.shape, EVENT_DTYPE)
        rows["ts_ms"] = plan.start_ts_ms + (time_s[:, None] * 1000).astype(np.int64)
        rows["type"] = TYPE_CODES["impression"]
        rows["user"], rows["item"] = user[:, None], items
        rows["session"], rows["slate"], rows["position"] = active[:, None], slate, positions
        rows["value"] = np.nan
        yield rows[shown]
        rejects = world.rejection_probability(
            user[:, None], items, positions=positions, time_s=time_s[:, None]
        )
        yield from _clicks(world, rows[clicked], plan.start_ts_ms, rng)
        yield _rejections(rows, np.where(shown & ~clicked, rejects, 0), rng)
        going_on = clicked.any(1)
        final = SLATE_SIZE - 1 - clicked[:, ::-1].argmax(1)  # people read downwards
        last_item[active[going_on]] = items[going_on, final[going_on]]
        now_s[active] += 20 + rng.exponential(STEP_S - 20, len(active))


def _slates(
    world: World,
    *,
    draw: _ItemDraw,
    user: NDArray[Any],
    last: NDArray[Any],
    time_s: NDArray[Any],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (n, SLATE_SIZE) items by position, and which of the places are filled."""
    n = len(user)
    taste = world.tastes[(time_s >= world.drift_s).astype(np.int64), user].cumsum(1)
    wanted = (rng.random((n, SLATE_SIZE, 1)) > taste[:, None, :]).sum(-1)  # (n, SLATE_SIZE)
    wanted[:, -POPULAR_SLOTS:] = rng.integers(0, len(CATEGORIES), (n, POPULAR_SLOTS))
    wanted = np.minimum(wanted, len(CATEGORIES) - 1)  # the last cumulative sum may be 1 - epsilon
    items = draw(wanted, np.broadcast_to(time_s[:, None], wanted.shape))
    places = rng.integers(0, SUCCESSORS, (n, FOLLOWING_SLOTS))
    following = world.successors[last[:, None], places]
    possible = (last[:, None] >= 0) & (world.released_s[following] <= time_s[:, None])
    head = items[:, :FOLLOWING_SLOTS]
    items[:, :FOLLOWING_SLOTS] = np.where(possible, following, head)
    earlier = np.tril(np.ones((SLATE_SIZE, SLATE_SIZE), bool), -1)
    repeated = ((items[:, :, None] == items[:, None, :]) & earlier).any(-1)
    order = np.argsort(np.where(repeated, 2.0, rng.random(items.shape)), axis=1)
    rows = np.arange(n)[:, None]
    return items[rows, order], ~repeated[rows, order]


def _clicks(
    world: World, clicked: NDArray[np.void], start_ts_ms: int, rng: np.random.Generator
) -> Iterator[NDArray[np.void]]:
    """Yield the clicks on impressions, and what follows a click."""
    clicks = clicked.copy()
    clicks["type"] = TYPE_CODES["click"]
    clicks["ts_ms"] += 1500 + 1200 * clicks["position"] + rng.integers(0, 900, len(clicks))
    yield clicks
    for name, probability in AFTERMATH:
        after = clicks[rng.random(len(clicks)) < probability].copy()
        after["type"] = TYPE_CODES[name]
        time_s = (after["ts_ms"] - start_ts_ms) / 1000
        after["value"], delay_s = _values(world, name, after, time_s, rng)
        after["ts_ms"] += (delay_s * 1000).astype(np.int64)
        yield after


def _rejections(
    rows: NDArray[np.void], probability: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.void]:
    """Return what is said against impressions, each with its probability."""
    draw = rng.random(rows.shape)
    rejected = draw < probability
    rejections = rows[rejected].copy()
    # Below its probability the draw is uniform again: it says of which type the rejection is.
    edges = np.cumsum([share for _, share in REJECTIONS])
    kinds = np.searchsorted(edges[:-1], draw[rejected] / probability[rejected], side="right")
    codes = np.array([TYPE_CODES[name] for name, _ in REJECTIONS])
    rejections["type"] = codes[kinds]
    rejections["ts_ms"] += 4000
    return rejections


def _values(
    world: World,
    name: str,
    after: NDArray[np.void],
    time_s: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the value of each event of a type (seconds, price, stars) and its delay in seconds."""
    n = len(after)
    seconds = np.round(rng.lognormal(2.2, 0.6, n), 1)
    if name == "dwell":
        return seconds, seconds
    if name == "purchase":
        return world.price[after["item"]], seconds + 15
    if name == "rating":
        fit = world.fit(after["user"], after["item"], time_s=time_s)
        stars = STARS + STARS_OF_FIT * fit + rng.normal(0, 1, n)
        return np.clip(np.round(stars), 1, 5), seconds + 5
    return np.full(n, np.nan), seconds


class _ItemDraw:
    """Draws items of given categories by popularity, of those released, the new ones more often."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self._rng = rng
        self._released_s = world.released_s
        self._items = np.argsort(world.category, kind="stable")
        self._cumulative = np.concatenate([[0.0], world.popularity[self._items].cumsum()])
        self._edges = np.searchsorted(world.category[self._items], np.arange(len(CATEGORIES) + 1))
        oldest = np.lexsort((world.released_s, world.category))
        self._oldest = oldest[self._edges[:-1]]

    def __call__(
        self, categories: NDArray[np.int64], time_s: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return an item for each category and time."""
        items = self._oldest[categories]
        open_rows = np.ones(categories.shape, bool)
        for _ in range(REDRAWS):
            wanted, now_s = categories[open_rows], time_s[open_rows]
            low = self._cumulative[self._edges[wanted]]
            high = self._cumulative[self._edges[wanted + 1]]
            at = low + self._rng.random(len(wanted)) * (high - low)
            places = np.searchsorted(self._cumulative, at, side="right") - 1
            found = self._items[np.minimum(places, self._edges[wanted + 1] - 1)]
            age_s = now_s - self._released_s[found]
            novelty = NOVELTY * np.exp(-np.maximum(age_s, 0) / NOVELTY_S)
            accepted = self._rng.random(len(found)) < (1 + novelty) / (1 + NOVELTY)
            items[open_rows] = np.where(age_s >= 0, found, items[open_rows])
            open_rows[open_rows] = (age_s < 0) | ~accepted
        return items
