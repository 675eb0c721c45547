"""Records that may be damaged: the sound ones come through as they are, the others are named."""

from __future__ import annotations

import logging

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.schema import CLICK, EVENT_TYPES, LATEST_TS_MS
from freshet.core.metrics import RECORDS_UNREADABLE
from freshet.core.state import readable
from freshet.core.state.readable import (
    readable_covisits,
    readable_fields,
    readable_items,
    readable_number,
    readable_pages,
    readable_unwanted,
    readable_users,
    report_unreadable,
)
from freshet.core.state.records import (
    COVISIT_CAPACITY,
    COVISIT_DTYPE,
    ITEM_DTYPE,
    LAYOUT_VERSION,
    WIDE,
    Records,
    unpack_items,
    unpack_users,
)
from freshet.core.state.unwanted import UNWANTED_DTYPE
from streams.user_packing import pack_users

LAYOUTS = (LAYOUT_VERSION, LAYOUT_VERSION | WIDE)


def user(clicks: int = 3, n_older: int = 0) -> Records:
    """Return (1,) a user with some clicks."""
    users = unpack_users([None])
    users["type_counts"][0, CLICK] = clicks
    users["history"]["code"] = CLICK << 12
    users["last_ts_ms"] = 1_763_800_000_000
    users["n_older"] = n_older
    return users


@pytest.mark.parametrize("clicks", [0, 1, 49, 50, 51, 255, 256, 70_000])
@pytest.mark.parametrize("n_older", [0, 1, 255])
def test_a_sound_user_is_read_as_it_is_and_at_no_other_length(clicks: int, n_older: int) -> None:
    """In both widths of the counters, with and without a tail; cut anywhere it is damaged."""
    blob = pack_users(user(clicks, n_older)).joined
    users, faults = readable_users([blob, None])
    assert faults == []
    assert users.tobytes() == unpack_users([blob, None]).tobytes()
    cut = [blob[:size] for size in range(len(blob))]
    users, faults = readable_users([*cut, blob + b"\0", blob])
    assert faults == list(range(len(blob) + 1))
    assert users[-1].tobytes() == unpack_users([blob])[0].tobytes()
    assert not users[:-1].view(np.uint8).any()


def test_a_user_of_an_unknown_event_type_or_of_an_impossible_time_is_damaged() -> None:
    """A type would index beyond every table, a time would count for the whole installation."""
    unknown, late = user(), user()
    unknown["history"]["code"][0, 2] = len(EVENT_TYPES) << 12
    late["last_ts_ms"] = LATEST_TS_MS + 1
    unused = user()
    unused["history"]["code"][0, 3] = len(EVENT_TYPES) << 12
    blobs = [pack_users(each).joined for each in (unknown, late, unused)]
    assert readable_users(blobs)[1] == [0, 1]


@given(st.lists(st.none() | st.binary(max_size=900), max_size=5), st.sampled_from(LAYOUTS))
def test_no_bytes_harm_the_users_with_them(blobs: list[bytes | None], layout: int) -> None:
    """Whatever the others hold, also behind a known layout."""
    sound = pack_users(user()).joined
    known = [blob and bytes([layout]) + blob for blob in blobs]
    users, faults = readable_users([*blobs, *known, sound])
    assert users[-1].tobytes() == unpack_users([sound])[0].tobytes()
    assert 2 * len(blobs) not in faults


def item(last_ts_ms: int, first_ts_ms: int = 1) -> bytes:
    """Return a packed item."""
    items = unpack_items([None])
    items["first_ts_ms"], items["last_ts_ms"] = first_ts_ms, last_ts_ms
    return items.tobytes()


def test_items_of_another_size_layout_or_of_impossible_times_are_damaged() -> None:
    """And count as never acted on; the sound one with them is as it was."""
    sound = item(1_763_800_000_000)
    blobs = [
        sound, b"abc", b"", sound[:-1], sound + b"\0", b"\0" + sound[1:],
        item(LATEST_TS_MS + 1), item(5, 6), item(5, -1), None, item(0, 0),
    ]  # fmt: skip
    items, faults = readable_items(blobs)
    assert faults == [1, 2, 3, 4, 5, 6, 7, 8]
    assert items[0].tobytes() == sound
    assert all(each.tobytes() == unpack_items([None]).tobytes() for each in items[1:])


@given(st.lists(st.binary(max_size=2 * ITEM_DTYPE.itemsize), max_size=4))
def test_no_bytes_harm_the_items_with_them(blobs: list[bytes]) -> None:
    """Whatever the others hold."""
    items, _ = readable_items([*blobs, item(7)])
    assert items[-1].tobytes() == item(7)


def test_transitions_of_a_broken_row_or_without_a_distance_are_damaged() -> None:
    """The distance divides."""
    rows = np.zeros(COVISIT_CAPACITY + 1, COVISIT_DTYPE)
    rows["distance"] = 1
    sound, many = rows[:-1].tobytes(), rows.tobytes()
    rows["distance"][1] = 0
    blobs = [sound, b"abc", many, rows[:2].tobytes(), None, b"", sound[:-1]]
    found, faults = readable_covisits(blobs)
    assert sorted(faults) == [1, 2, 3, 6]
    assert found == [sound, None, None, None, None, b"", None]


def test_rejections_and_pages_are_whole_or_damaged() -> None:
    """Of known types, in whole rows."""
    rows = np.array([(7, 200, 8), (9, 100, 5)], UNWANTED_DTYPE)
    assert readable_unwanted(rows.tobytes()) == (rows.tobytes(), False)
    assert readable_unwanted(None) == (None, False)
    rows["type"][1] = len(EVENT_TYPES)
    assert readable_unwanted(rows.tobytes()) == (None, True)
    assert readable_unwanted(b"\0") == (None, True)
    page = bytes(200)
    assert readable_pages([page, None, page[:-1], b"abc"]) == ([page, None, None, None], [2, 3])


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"abc", b"1e9", b"9" * 20, "٣".encode()])
def test_a_number_is_digits(value: bytes) -> None:
    """As the scripts write it."""
    with pytest.raises(ValueError, match="expected a number"):
        readable_number(value)
    assert readable_number(b"12") == 12
    assert readable_number(None) is None


def test_what_is_damaged_is_counted_each_time_and_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A request a second must not fill the log."""
    readable._name.cache_clear()
    counter = RECORDS_UNREADABLE.labels("users")
    before = counter._value.get()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            report_unreadable("users", "ns:{u1}:users", "5f2b", "3 bytes")
    assert counter._value.get() == before + 3
    (line,) = caplog.messages
    assert "5f2b in ns:{u1}:users cannot be read (3 bytes)" in line


def test_fields_that_cannot_be_decoded_are_left_out() -> None:
    """Whatever they hold, the others are decoded."""
    decode = msgspec.msgpack.Decoder(list[str]).decode
    fields = {"a": msgspec.msgpack.encode(["x"]), "b": b"", "c": b"\xff", "d": b"\x01"}
    assert readable_fields("outbox", "ns:{u0}:outbox", fields, decode) == {"a": ["x"]}
