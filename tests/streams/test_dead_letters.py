"""The dead letter of a record in a batch."""

import pytest

from freshet.core.errors import EventError
from freshet.core.events.dead_letter import Origin, read_letter
from freshet.core.events.producer import Record
from streams.dead_letters import dead_letter, letters_among
from streams.record_batch import RecordBatch

KEYS = [b"alice", None, b"\xff"]
VALUES = [b"{bad", None, b"x" * 70_000]
BATCH = RecordBatch("freshet.events", 2, 40, [40, 41, 45], KEYS, VALUES, [0, 0, 0])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_it_holds_what_the_record_held(index: int) -> None:
    """Its key too, without which it could not be sent again; a huge value is cut, and that said."""
    record = dead_letter("letters", BATCH, index, EventError("invalid", "w" * 5_000))
    letter = read_letter(record.value, record.headers, 0)
    value = VALUES[index]
    assert (record.topic, record.partition) == ("letters", 2)
    assert letter.origin == Origin("freshet.events", 2, BATCH.offsets[index])
    assert (letter.reason, letter.detail) == ("invalid", "w" * 1_000)
    assert letter.key == KEYS[index]
    assert letter.value == (value and value[:65_536])
    assert letter.cut == ({"value": 70_000} if index == 2 else {})


def test_the_letters_among_some_records_are_found() -> None:
    """None among none, and only those of the topic of the letters."""
    assert not letters_among("letters", [])
    reasons = ["invalid", "empty", "invalid"]
    letters = [
        dead_letter("letters", BATCH, index, EventError(reason, "w"))
        for index, reason in enumerate(reasons)
    ]
    records = [Record("deltas", 0, None, b"x"), *letters, Record("slates", 1, b"k", None)]
    assert [each.reason for each in letters_among("letters", records)] == reasons
