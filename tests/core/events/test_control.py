"""What stands among the events and is none: told by its first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import EventError
from freshet.core.events.codec import decode_event, encode
from freshet.core.events.control import (
    ERASURE_PREFIX,
    HEARTBEAT_PREFIX,
    Erasure,
    Heartbeat,
    decode_erasure,
    encode_control,
    heartbeat_ts_ms,
    user_hash,
)
from freshet.core.events.schema import EARLIEST_TS_MS, LATEST_TS_MS, Event

times = st.integers(EARLIEST_TS_MS, LATEST_TS_MS)


@given(st.text(min_size=1, max_size=128), times, st.text(max_size=64))
def test_an_erasure_survives_the_wire(user: str, ts_ms: int, erasure_id: str) -> None:
    """It begins as the fold expects, and is no event."""
    erasure = Erasure(erase=user, ts_ms=ts_ms, erasure_id=erasure_id)
    raw = encode_control(erasure)
    assert raw.startswith(ERASURE_PREFIX)
    assert decode_erasure(raw) == erasure
    with pytest.raises(EventError):
        decode_event(raw, ts_ms)


@given(times)
def test_a_heartbeat_survives_the_wire(ts_ms: int) -> None:
    """It is no event, and no event is one."""
    raw = encode_control(Heartbeat(ts_ms))
    assert raw.startswith(HEARTBEAT_PREFIX)
    assert heartbeat_ts_ms(raw) == ts_ms
    with pytest.raises(EventError):
        decode_event(raw, ts_ms)
    event = Event(event_id="e", type="click", user_id="u", item_id="i", ts_ms=ts_ms)
    assert heartbeat_ts_ms(encode(event)) is None
    assert heartbeat_ts_ms(None) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_the_decoders(raw: bytes) -> None:
    """Whatever follows the first bytes."""
    assert isinstance(heartbeat_ts_ms(HEARTBEAT_PREFIX + raw), int | None)
    try:
        decode_erasure(ERASURE_PREFIX + raw)
    except EventError as error:
        assert error.reason in {"invalid", "undecodable"}


def test_the_hash_of_a_user_is_fixed_and_says_nothing() -> None:
    """It stands in states that outlive a version of Freshet."""
    assert user_hash("ann") == "d8963d899008cf8c05369be7b9042715"
    assert user_hash("ann") != user_hash("bob")
