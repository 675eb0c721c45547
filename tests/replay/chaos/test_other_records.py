"""Records besides events: the codecs of the product read them."""

from __future__ import annotations

import msgspec
import numpy as np

from freshet.core.events.codec import decode_entry
from freshet.core.events.control import decode_erasure
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Slate
from freshet.core.events.topics import Topics
from replay.chaos import other_records
from replay.chaos.vectors import ITEMS

TOPICS = Topics("n")
NOW_MS = 1_700_000_000_000


def test_an_erasure_names_its_user_and_its_time() -> None:
    """And stands among the user's events."""
    record = other_records.erasure(TOPICS, 4, "ann", NOW_MS, 7)
    wish = decode_erasure(record.value or b"")
    assert (wish.erase, wish.ts_ms) == ("ann", NOW_MS)
    assert (record.topic, record.partition) == (TOPICS.events, partition_of("ann", 4))


def test_the_catalogue_has_every_item() -> None:
    """Each in its own partition."""
    records = other_records.catalogue(TOPICS, 4)
    found = [decode_entry(record.key, record.value) for record in records]
    assert len({item_id for item_id, _ in found}) == ITEMS
    assert all(item is not None for _, item in found)
    for record in records:
        assert record.partition == partition_of((record.key or b"").decode(), 4)


def test_a_change_puts_an_item_or_deletes_it() -> None:
    """Both come."""
    rng = np.random.default_rng(1)
    changes = [other_records.catalogue_change(rng, TOPICS, 4) for _ in range(100)]
    entries = [decode_entry(record.key, record.value)[1] for record in changes]
    assert {entry is None for entry in entries} == {True, False}


def test_an_answer_is_a_slate_of_its_items() -> None:
    """In their order, in the partition of its user."""
    record = other_records.answer(TOPICS, 4, "ann", "r1", ["a", "b"], NOW_MS)
    slate = msgspec.json.decode(record.value or b"", type=Slate)
    assert [slot.item_id for slot in slate.slots] == ["a", "b"]
    assert (slate.request_id, slate.user_id, slate.ts_ms) == ("r1", "ann", NOW_MS)
    assert (record.topic, record.partition) == (TOPICS.slates, partition_of("ann", 4))
