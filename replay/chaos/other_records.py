"""What is sent in a chaos run besides events: the catalogue, erasures, answers as logged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from freshet.core.events.codec import encode
from freshet.core.events.control import Erasure, encode_control
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.events.schema import Item, Slate, Slot
from freshet.core.events.topics import Topics
from replay.chaos.vectors import ITEMS, item_name

DELETED: Final = 0.2  # share of changes to the catalogue that take an item out
SLOTS: Final = 5  # of an answer


def catalogue(topics: Topics, partitions: int) -> list[Record]:
    """Return the records that offer every item of the traffic."""
    return [_entry(topics, partitions, item_name(number), 0.0) for number in range(ITEMS)]


def catalogue_change(rng: np.random.Generator, topics: Topics, partitions: int) -> Record:
    """Return a record that changes an item of the catalogue, puts it back or deletes it."""
    name = item_name(int(rng.integers(ITEMS)))
    price = None if rng.random() < DELETED else float(rng.integers(1, 1_000))
    return _entry(topics, partitions, name, price)


def erasure(topics: Topics, partitions: int, user_id: str, now_ms: int, number: int) -> Record:
    """Return the wish that a user be forgotten; events until now stay out."""
    wish = Erasure(erase=user_id, ts_ms=now_ms, erasure_id=f"erasure-{number}")
    where = partition_of(user_id, partitions)
    return Record(topics.events, where, user_id.encode(), encode_control(wish))


def answer(
    topics: Topics,
    partitions: int,
    user_id: str,
    request_id: str,
    items: Sequence[str],
    now_ms: int,
) -> Record:
    """Return an answer as a server logs it, of some distinct items."""
    slots = [
        Slot(
            item_id=item, position=position, score=1.0 / (1 + position), source="trending",
            reason="", propensity=1.0, explored=False,
        )
        for position, item in enumerate(items)
    ]  # fmt: skip
    slate = Slate(
        request_id=request_id, user_id=user_id, ts_ms=now_ms, policy="chaos", model_version="",
        quality="source_order", feature_schema="", slots=slots, features=b"",
    )  # fmt: skip
    where = partition_of(user_id, partitions)
    return Record(topics.slates, where, user_id.encode(), msgspec.json.encode(slate))


def _entry(topics: Topics, partitions: int, item_id: str, price: float | None) -> Record:
    """Return a record of the catalogue; without a price it deletes."""
    item = None if price is None else encode(Item(item_id=item_id, title=item_id, price=price))
    return Record(topics.catalog, partition_of(item_id, partitions), item_id.encode(), item)
