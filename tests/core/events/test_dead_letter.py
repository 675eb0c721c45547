"""What a dead letter looks like on its topic."""

import pytest

from freshet.core.errors import EventError
from freshet.core.events.dead_letter import (
    HEADER_PREFIX,
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    DeadLetter,
    Origin,
    cut_to_size,
    read_letter,
)

ORIGIN = Origin("freshet.dead-end", 3, 17)


@pytest.mark.parametrize(
    "letter",
    [
        DeadLetter(ORIGIN, "empty", "", None, None),
        DeadLetter(ORIGIN, "invalid", "what", b"", b""),
        DeadLetter(ORIGIN, "undecodable", "Gr\u00fc\u00dfe", b"\xff\x00", b"\xfe{"),
        DeadLetter(ORIGIN, "too_large", "d", b"k", b"v", {"key": 2_000, "value": 90_000}),
        DeadLetter(ORIGIN, "empty", "", None, None, replayed=True),
    ],
)
def test_what_is_written_is_what_is_read(letter: DeadLetter) -> None:
    """Key and value byte for byte, an empty one told from none."""
    record = letter.record("letters")
    assert (record.topic, record.partition) == ("letters", 3)
    assert record.key == b"freshet.dead-end-3-17"
    assert read_letter(record.value, record.headers, 0) == letter


def test_a_receipt_names_the_letter_and_carries_nothing() -> None:
    """The same key, so that both count as one."""
    letter = DeadLetter(ORIGIN, "invalid", "what", b"k", b"v")
    receipt = letter.receipt()
    assert receipt.record("t").key == letter.record("t").key
    assert (receipt.key, receipt.value, receipt.replayed) == (None, None, True)


@pytest.mark.parametrize("raw", [None, b"", b"k"])
def test_what_fits_is_not_cut(raw: bytes | None) -> None:
    """Nothing stays nothing."""
    assert cut_to_size(raw, raw) == (raw, raw, {})


def test_what_is_beyond_any_good_record_is_cut_and_said() -> None:
    """The bounds themselves fit."""
    key, value = b"k" * MAX_KEY_BYTES, b"v" * MAX_VALUE_BYTES
    assert cut_to_size(key, value) == (key, value, {})
    sizes = {"key": MAX_KEY_BYTES + 1, "value": MAX_VALUE_BYTES + 1}
    assert cut_to_size(key + b"k", value + b"v") == (key, value, sizes)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("topic", b"t")],
        [(HEADER_PREFIX + "topic", b"t")],
        [(HEADER_PREFIX + n, b"x") for n in ("topic", "partition", "offset", "reason", "detail")],
        [(HEADER_PREFIX + n, b"\xff") for n in ("topic", "partition", "offset", "reason")],
    ],
)
def test_what_is_no_letter_is_an_error(headers: list[tuple[str, bytes]]) -> None:
    """Anybody may write to the topic."""
    with pytest.raises(EventError, match="not a dead letter"):
        read_letter(b"{}", headers, 0)


@pytest.mark.parametrize(
    "name", ["", "events", "events-1", "-1-2", "events-1-x", "events-1-\u00b2"]
)
def test_a_name_of_no_place_is_an_error(name: str) -> None:
    """It says how a place is written."""
    with pytest.raises(EventError, match="expected TOPIC-PARTITION-OFFSET"):
        Origin.parse(name)


@pytest.mark.parametrize("origin", [ORIGIN, Origin("ends-with-", 0, 0)])
def test_a_place_is_read_as_it_is_written(origin: Origin) -> None:
    """Hyphens of the topic stay with it."""
    assert Origin.parse(str(origin)) == origin
