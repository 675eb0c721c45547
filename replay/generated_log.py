"""A generated log as files: events, items, and the truth beside them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from freshet.core.events.codec import encode
from freshet.core.events.schema import EVENT_TYPES, Event, Item
from replay.generator import EVENT_DTYPE, generate
from replay.titles import CATEGORIES, collection_name
from replay.world import (
    BASE,
    EXAMINATION,
    FOLLOWS,
    REJECTION,
    REJECTION_BASE,
    TASTE,
    Plan,
    World,
)

COMPRESSION = 4


class LogFiles(NamedTuple):
    """Where a generated log lies, and how much it holds."""

    events: Path
    items: Path
    truth: Path
    n_events: int


def write_log(plan: Plan, out: Path) -> LogFiles:
    """Generate a log and write `OUT.events.jsonl.gz`, `OUT.items.jsonl.gz`, `OUT.truth.json`.

    The same plan writes the same bytes.

    Args:
        plan: what to generate.
        out: the common beginning of the names; its folder is made when missing.
    """
    world, rows = generate(plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    files = LogFiles(
        out.with_name(f"{out.name}.events.jsonl.gz"),
        out.with_name(f"{out.name}.items.jsonl.gz"),
        out.with_name(f"{out.name}.truth.json"),
        len(rows),
    )
    write_lines(files.events, (encode(event) for event in to_events(plan, rows)))
    write_lines(files.items, (encode(item) for item in to_items(plan, world)))
    truth = msgspec.json.format(msgspec.json.encode(truth_of(plan, world, rows)), indent=1)
    files.truth.write_bytes(truth)
    return files


def to_events(plan: Plan, rows: NDArray[np.void]) -> Iterable[Event]:
    """Yield the rows of a generated log as events."""
    columns = [rows[name].tolist() for name in EVENT_DTYPE.names or ()]
    mark = _mark(plan)
    for number, row in enumerate(zip(*columns, strict=True)):
        ts_ms, kind, user, item, session, slate, position, value = row
        yield Event(
            event_id=f"{mark}-{number}",
            type=EVENT_TYPES[kind],
            user_id=user_id(user),
            item_id=item_id(item),
            ts_ms=ts_ms,
            session_id=f"s{session}",
            request_id=f"{mark}-r{slate}",
            position=position,
            value=None if np.isnan(value) else value,
        )


def _mark(plan: Plan) -> str:
    """Return what the ids of a plan begin with: two logs in one namespace share none."""
    fields = ",".join(f"{name}={getattr(plan, name)}" for name in Plan.__slots__)
    return f"g{plan.seed}-{xxhash.xxh3_64_hexdigest(fields.encode())[:6]}"


def to_items(plan: Plan, world: World) -> list[Item]:
    """Return the catalogue of a world."""
    return [
        Item(
            item_id=item_id(index),
            title=title,
            categories=[CATEGORIES[category], collection_name(category, collection)],
            created_ts_ms=plan.start_ts_ms + int(released_s * 1000),
            price=price,
        )
        for index, (title, category, collection, released_s, price) in enumerate(
            zip(
                world.titles,
                world.category.tolist(),
                world.collection.tolist(),
                world.released_s.tolist(),
                world.price.tolist(),
                strict=True,
            )
        )
    ]


def truth_of(plan: Plan, world: World, rows: NDArray[np.void]) -> dict[str, object]:
    """Return all that is true of a log, ready for JSON.

    `users` and `items` hold the number of events of each type, for an audit of the counts.
    """
    before, after = (np.round(tastes, 4).tolist() for tastes in world.tastes)
    return {
        "plan": {name: getattr(plan, name) for name in Plan.__slots__},
        "start_ts_ms": plan.start_ts_ms,
        "end_ts_ms": plan.end_ts_ms,
        "drift_ts_ms": None
        if np.isinf(world.drift_s)
        else plan.start_ts_ms + int(world.drift_s * 1000),
        "events": len(rows),
        "categories": list(CATEGORIES),
        "click_model": {
            "examination": EXAMINATION.tolist(),
            "base": BASE,
            "taste": TASTE,
            "follows": FOLLOWS,
        },
        "rejection_model": {"most": REJECTION, "base": REJECTION_BASE},
        "users": {
            user_id(user): {
                "taste_before": before[user],
                "taste_after": after[user],
                "type_counts": counts,
            }
            for user, counts in enumerate(_type_counts(rows, "user", plan.users))
        },
        "items": {
            item_id(item): {
                "quality": round(float(world.quality[item]), 4),
                "successors": [item_id(other) for other in world.successors[item].tolist()],
                "type_counts": counts,
            }
            for item, counts in enumerate(_type_counts(rows, "item", plan.items))
        },
    }


def user_id(user: int) -> str:
    """Return the id of the person with this index."""
    return f"u{user:05d}"


def item_id(item: int) -> str:
    """Return the id of the item with this index."""
    return f"i{item:05d}"


def _type_counts(rows: NDArray[np.void], column: str, n: int) -> list[list[int]]:
    counts = np.zeros((n, len(EVENT_TYPES)), np.int64)
    np.add.at(counts, (rows[column], rows["type"]), 1)
    return counts.tolist()


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write lines as gzip; the same lines are the same bytes."""
    with (
        path.open("wb") as file,
        gzip.GzipFile(
            "", "wb", COMPRESSION, file, mtime=0
        ) as packed,  # no name, no time: same bytes
    ):
        packed.write(b"".join(line + b"\n" for line in lines))
