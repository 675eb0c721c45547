"""Events survive the wire, and each kind of bad record has its word."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import EventError
from freshet.core.events.codec import (
    REJECT_REASONS,
    decode_event,
    decode_events,
    decode_item,
    encode,
    event_hash,
)
from freshet.core.events.schema import (
    EARLIEST_TS_MS,
    EVENT_TYPES,
    LATEST_TS_MS,
    MAX_EVENT_BYTES,
    Event,
    Item,
)

NOW_MS = 1_700_000_000_000
GOOD = {"event_id": "e", "type": "click", "user_id": "u", "item_id": "i", "ts_ms": NOW_MS}

events = st.builds(
    Event,
    event_id=st.text(min_size=1, max_size=64),
    type=st.sampled_from(EVENT_TYPES),
    user_id=st.text(min_size=1, max_size=128),
    item_id=st.text(min_size=1, max_size=128),
    ts_ms=st.integers(EARLIEST_TS_MS, NOW_MS),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    position=st.none() | st.integers(0, 10_000),
)


@given(events)
def test_an_event_survives_the_wire(event: Event) -> None:
    """What is encoded is what is decoded."""
    assert decode_event(encode(event), NOW_MS) == event


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\xff\xfe", "undecodable"),
        (b"{bad", "undecodable"),
        (b"[" * 10_000, "invalid"),
        (b"[1, 2]", "invalid"),
        (json.dumps(GOOD | {"type": "sneeze"}).encode(), "unknown_type"),
        (json.dumps(GOOD | {"ts_ms": 0}).encode(), "absurd_time"),
        (json.dumps(GOOD | {"ts_ms": NOW_MS // 1000}).encode(), "absurd_time"),
        (json.dumps(GOOD | {"ts_ms": LATEST_TS_MS + 1}).encode(), "absurd_time"),
        (json.dumps(GOOD | {"ts_ms": 2**70}).encode(), "absurd_time"),
        (json.dumps(GOOD | {"user_id": ""}).encode(), "invalid"),
        (json.dumps(GOOD | {"value": float("nan")}).encode(), "undecodable"),
        (json.dumps({"event_id": "e"}).encode(), "invalid"),
        (json.dumps(GOOD | {"context": {"x": "y" * MAX_EVENT_BYTES}}).encode(), "too_large"),
    ],
)
def test_a_bad_record_is_named(raw: bytes | None, reason: str) -> None:
    """Every kind of bad record is rejected with a word of the list."""
    with pytest.raises(EventError) as caught:
        decode_event(raw, NOW_MS)
    assert caught.value.reason == reason
    assert reason in REJECT_REASONS


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(raw: bytes) -> None:
    """Whatever the bytes are, the outcome is an event or an `EventError`."""
    try:
        decode_event(raw, NOW_MS)
    except EventError as error:
        assert error.reason in REJECT_REASONS


def test_a_bad_record_leaves_its_neighbours_alone() -> None:
    """The batch decodes around it, and the places are right."""
    good = json.dumps(GOOD).encode()
    found, indices, rejects = decode_events([good, b"{", good], [NOW_MS] * 3)
    assert [event.user_id for event in found] == ["u", "u"]
    assert indices == [0, 2]
    assert [(reject.at, reject.error.reason) for reject in rejects] == [(1, "undecodable")]


def test_a_clock_ahead_of_the_log_is_no_reason_unless_the_log_has_none() -> None:
    """The fold takes the log's time instead; a log without times has none to take."""
    future = json.dumps(GOOD | {"ts_ms": NOW_MS + 10**9}).encode()
    good = json.dumps(GOOD).encode()
    assert len(decode_events([future, good], [NOW_MS, NOW_MS])[0]) == 2
    found, indices, rejects = decode_events([future, good], [NOW_MS, -1])
    assert [event.ts_ms for event in found] == [NOW_MS + 10**9]
    assert indices == [0]
    assert [(reject.at, reject.error.reason) for reject in rejects] == [(1, "absurd_time")]


def test_unknown_fields_are_passed_over() -> None:
    """A newer producer may say more than we know."""
    assert decode_event(json.dumps(GOOD | {"new": 1}).encode(), NOW_MS).event_id == "e"


def test_an_item_survives_the_wire_and_a_bad_one_is_named() -> None:
    """The catalogue has the same two ends."""
    item = Item(item_id="i", title="T", categories=["a"])
    assert decode_item(encode(item)) == item
    with pytest.raises(EventError, match="item_id"):
        decode_item(b"{}")


def test_event_hash_is_never_the_empty_slot() -> None:
    """0 marks a free slot of the ring."""
    assert event_hash("e1") != event_hash("e2") != 0
