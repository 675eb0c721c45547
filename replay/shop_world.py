"""A large shop without content: forty thousand items that are ids and nothing else, short sessions.

Law: a function of the plan alone. Items stand on shelves; a session walks along one shelf, now and
then to another, so that what is visited together says all that can be known. It is the world in
which an encoder that relies on content learns nothing, which `freshet eval` then says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.codec import encode
from freshet.core.events.schema import Event, Item
from replay.generated_log import LogFiles, item_id, user_id, write_lines
from replay.world import DAY_S

SHELF_SIZE: Final = 12
MEAN_VISITS, MAX_VISITS = 4.0, 30  # in a session, two at least
SESSIONS_OF_USER: Final = 2.0
STAY: Final = 0.8  # probability of staying at the shelf
PURCHASE: Final = 0.05  # probability that a visit ends with a purchase
SHELF_ZIPF, ITEM_ZIPF = 0.8, 0.7
STEP_S: Final = 40.0  # mean time between two visits


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopPlan:
    """What to generate.

    Attributes:
        end_ts_ms: when the log ends.
    """

    users: int = 20_000
    items: int = 40_000
    days: float = 28.0
    seed: int = 1
    end_ts_ms: int = 1_767_225_600_000  # 2026-01-01

    def __post_init__(self) -> None:
        if self.users < 1 or self.items < 2 * SHELF_SIZE or not 0 < self.days <= 3650:
            raise ValueError(
                f"{self.users} users, {self.items} items, {self.days:g} days; expected at least 1 "
                f"user, {2 * SHELF_SIZE} items and up to 3650 days"
            )


class _Visits(NamedTuple):
    """What happened, (n,) each, in the order of time."""

    ts_ms: NDArray[np.int64]
    user: NDArray[np.int64]
    session: NDArray[np.int64]
    item: NDArray[np.int64]
    bought: NDArray[np.bool_]


def write_shop_log(plan: ShopPlan, out: Path) -> LogFiles:
    """Generate a log and write `OUT.events.jsonl.gz`, `OUT.items.jsonl.gz`, `OUT.truth.json`.

    The same plan writes the same bytes.

    Args:
        plan: what to generate.
        out: the common beginning of the names; its folder is made when missing.
    """
    events = list(shop_events(plan))
    out.parent.mkdir(parents=True, exist_ok=True)
    files = LogFiles(
        out.with_name(f"{out.name}.events.jsonl.gz"),
        out.with_name(f"{out.name}.items.jsonl.gz"),
        out.with_name(f"{out.name}.truth.json"),
        len(events),
    )
    write_lines(files.events, map(encode, events))
    write_lines(files.items, (encode(item) for item in shop_items(plan)))
    truth = {
        "plan": {name: getattr(plan, name) for name in ShopPlan.__slots__},
        "events": len(events),
        "shelf_size": SHELF_SIZE,
        "stay": STAY,
        "shelves": shelves_of(plan).tolist(),
    }
    files.truth.write_bytes(msgspec.json.format(msgspec.json.encode(truth), indent=1))
    return files


def shop_items(plan: ShopPlan) -> Iterator[Item]:
    """Yield the catalogue: ids, without title, category, price or date."""
    return (Item(item_id=item_id(row)) for row in range(plan.items))


def shelves_of(plan: ShopPlan) -> NDArray[np.int64]:
    """Return (items,) the shelf of each item; its number says nothing of its popularity."""
    return np.random.default_rng(plan.seed).permutation(plan.items) // SHELF_SIZE


def shop_events(plan: ShopPlan) -> Iterator[Event]:
    """Yield views and purchases in the order of time."""
    visits = _visit(plan)
    for number, (ts_ms, user, session, item, bought) in enumerate(
        zip(*(column.tolist() for column in visits), strict=True)
    ):
        event = Event(
            event_id=f"s{plan.seed}-{number}",
            type="view",
            user_id=user_id(user),
            item_id=item_id(item),
            ts_ms=ts_ms,
            session_id=f"s{session}",
        )
        yield event
        if bought:
            yield msgspec.structs.replace(event, event_id=f"{event.event_id}p", type="purchase")


def _visit(plan: ShopPlan) -> _Visits:
    """Draw all sessions at once, visit by visit."""
    rng = np.random.default_rng((plan.seed, 1))
    shelves = shelves_of(plan)
    on_shelf = np.argsort(shelves, kind="stable")  # items, shelf by shelf
    starts = np.searchsorted(shelves[on_shelf], np.arange(shelves.max() + 2))
    n_shelves = len(starts) - 1
    shelf_chance = _zipf(n_shelves, SHELF_ZIPF)

    counts = rng.poisson(SESSIONS_OF_USER, plan.users)
    counts[0] += counts.sum() == 0  # somebody comes
    user = np.repeat(np.arange(plan.users), counts)
    lengths = np.minimum(1 + rng.geometric(1 / (MEAN_VISITS - 1), len(user)), MAX_VISITS)
    now_s = rng.uniform(0, plan.days * DAY_S, len(user))
    shelf = rng.choice(n_shelves, len(user), p=shelf_chance)
    start_ts_ms = plan.end_ts_ms - int(plan.days * DAY_S * 1000)
    parts = []
    for step in range(int(lengths.max())):
        active = np.flatnonzero(lengths > step)
        leaves = rng.random(len(active)) >= STAY
        shelf[active[leaves]] = rng.choice(n_shelves, leaves.sum(), p=shelf_chance)
        begin, end = starts[shelf[active]], starts[shelf[active] + 1]
        place = _on_shelf(rng, len(active)) % (end - begin)  # the last shelf may be short
        ts_ms = start_ts_ms + (1000 * now_s[active]).astype(np.int64)
        bought = rng.random(len(active)) < PURCHASE
        parts.append((ts_ms, user[active], active, on_shelf[begin + place], bought))
        now_s[active] += 5 + rng.exponential(STEP_S - 5, len(active))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    kept = order[columns[0][order] <= plan.end_ts_ms]
    return _Visits(*(column[kept] for column in columns))


def _on_shelf(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Return (n,) places on a shelf, the first the likeliest."""
    return rng.choice(SHELF_SIZE, n, p=_zipf(SHELF_SIZE, ITEM_ZIPF))


def _zipf(n: int, exponent: float) -> NDArray[np.float64]:
    """Return (n,) probabilities that fall with the rank (Zipf 1949)."""
    weights = np.power(1.0 + np.arange(n), -exponent)
    return np.asarray(weights / weights.sum())
