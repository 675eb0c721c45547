"""The outbox: what was kept is told whole and in order, and goes when it was told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.producer import Record
from freshet.core.events.topics import Topics
from freshet.core.state.keys import Keys
from streams.deltas import decode_deltas
from streams.outbox import Entry, Outbox

from .conftest import PARTITIONS
from .test_deltas import rows_of

PARTITION = 2
LETTER = Record("letters", PARTITION, b"key", None, [("why", b"bad")])


def outbox() -> Outbox:
    return Outbox(Keys("ns"), Topics("ns"), PARTITIONS)


def kept(box: Outbox, end: int, entry: Entry) -> dict[str, bytes]:
    """What the script of a batch would write."""
    (changes,) = box.changes(PARTITION, end, entry)
    assert changes.key == "ns:{u2}:outbox"
    return dict(zip(changes.names, changes.values.values(), strict=True))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 999))
def test_what_one_worker_kept_another_tells(sizes: list[int], seed: int) -> None:
    """Every row once, those of an event together, and offsets that rise from message to message."""
    box, found, wanted, end = outbox(), {}, [], 5  # ends have one digit, and two
    for size in sizes:
        ids, activity, covisits = rows_of(size, 1, 6, seed)
        activity["offset"] += end - 1000
        covisits["offset"] += end - 1000
        end += size
        entry = Entry(ids, activity.tobytes(), covisits.tobytes(), [LETTER])
        found |= kept(box, end, entry)
        wanted += zip(ids, activity.tolist(), strict=True)
    records = outbox().load(PARTITION, found)
    assert [each for each in records if each.topic == "letters"] == [LETTER] * len(sizes)
    told, passed = [], dict.fromkeys(range(PARTITIONS), -1)
    for record in records:
        if record.topic == "letters":
            continue
        deltas = decode_deltas(record.value or b"")
        rows = deltas.activity_rows()
        told += [
            (deltas.item_ids[item], row)
            for item, row in zip(deltas.item_rows().tolist(), rows.tolist(), strict=True)
        ]
        offsets = [*rows["offset"].tolist(), *deltas.covisit_rows()["offset"].tolist()]
        assert min(offsets) > passed[record.partition]
        passed[record.partition] = max(offsets)
    assert sorted(told) == sorted(wanted)


def test_a_batch_that_tells_nothing_keeps_nothing() -> None:
    """Copies of events, say."""
    box = outbox()
    assert box.changes(PARTITION, 7, Entry()) == []
    box.note_told(PARTITION, 7)
    assert box.told(PARTITION) == ()


def test_what_was_told_goes_with_the_next_change_and_what_was_not_stays() -> None:
    """Of its own partition alone."""
    box = outbox()
    for end in (7, 9):
        kept(box, end, Entry(records=[LETTER]))
    box.note_told(PARTITION, 7)
    assert box.changes(PARTITION + 1, 7, Entry()) == []
    (changes,) = box.changes(PARTITION, 11, Entry())
    assert (list(changes.delete), list(changes.names)) == (["7"], [])
    assert box.changes(PARTITION, 12, Entry()) == []


def test_what_another_worker_left_goes_when_it_was_told_again() -> None:
    """Whoever loads it tells it before anything else, and has nothing of its own any more."""
    found = kept(outbox(), 7, Entry(records=[LETTER]))
    box = outbox()
    kept(box, 9, Entry(records=[LETTER]))
    assert box.load(PARTITION, found) == [LETTER]
    assert box.told(PARTITION) == ("7",)
    box.note_told(PARTITION, 9)
    assert box.told(PARTITION) == ("7",)
    assert box.load(PARTITION, {}) == []
    assert box.told(PARTITION) == ()
