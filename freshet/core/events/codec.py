"""Bytes to events and back, and the words for what can be wrong with the bytes.

Law: decoding is a function of the bytes and of the record's own time stamp, never of the wall
clock, so that a log decodes the same way whenever it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.schema import (
    EARLIEST_TS_MS,
    MAX_EVENT_BYTES,
    MAX_FUTURE_MS,
    Event,
    Item,
)

EMPTY: Final = "empty"
TOO_LARGE: Final = "too_large"
UNDECODABLE: Final = "undecodable"
UNKNOWN_TYPE: Final = "unknown_type"
ABSURD_TIME: Final = "absurd_time"
INVALID: Final = "invalid"
REJECT_REASONS: Final = (EMPTY, TOO_LARGE, UNDECODABLE, UNKNOWN_TYPE, ABSURD_TIME, INVALID)

EVENT_HASH_BITS: Final = 40

_EVENT_DECODER = msgspec.json.Decoder(Event)
_ITEM_DECODER = msgspec.json.Decoder(Item)
_ENCODER = msgspec.json.Encoder()


class Reject(NamedTuple):
    """A record that is no event: where it stood in the batch, and why."""

    at: int
    error: EventError


def encode(value: Event | Item) -> bytes:
    """Return the JSON of an event or a catalogue item, as it travels on Kafka."""
    return _ENCODER.encode(value)


def event_hash(event_id: str) -> int:
    """Return the hash by which the state remembers an event; never 0, which means none.

    It has `EVENT_HASH_BITS`, so that a user's record stays small.

    >>> f"{event_hash('e1'):010x}"
    '1f7e24023b'
    """
    return xxhash.xxh3_64_intdigest(event_id.encode()) >> (64 - EVENT_HASH_BITS) or 1


def event_digests(events: Sequence[Event]) -> NDArray[np.uint64]:
    """Return 64 bits of each event id, (n,) uint64, of which `event_hash` keeps the upper ones."""
    digest = xxhash.xxh3_64_intdigest
    return np.array([digest(event.event_id.encode()) for event in events], np.uint64)


def event_hashes(digests: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the hashes of events by their digests, (n,) uint64; see `event_hash`."""
    return np.asarray(np.maximum(digests >> np.uint64(64 - EVENT_HASH_BITS), np.uint64(1)))


def decode_event(raw: bytes | None, record_ts_ms: int) -> Event:
    """Return the event in `raw`.

    An event whose clock is ahead of the log is sound here: whoever applies it takes the log's time
    instead, unless that is absurd itself.

    Args:
        raw: JSON, at most `MAX_EVENT_BYTES` long.
        record_ts_ms: when the log took the record.

    Raises:
        EventError: when it is no event; the reason is one of `REJECT_REASONS`.

    >>> decode_event(b'{"type": "click"}', 0)
    Traceback (most recent call last):
    freshet.core.errors.EventError: invalid: Object missing required field `event_id`
    """
    if not raw:
        raise EventError(EMPTY, "the record has no value")
    if len(raw) > MAX_EVENT_BYTES:
        raise EventError(
            TOO_LARGE, f"{len(raw)} bytes, expected at most {MAX_EVENT_BYTES}; send less context"
        )
    try:
        event = _EVENT_DECODER.decode(raw)
    except msgspec.ValidationError as error:
        raise EventError(_reason(str(error)), str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(UNDECODABLE, f"not JSON in UTF-8: {error}") from error
    if record_ts_ms < EARLIEST_TS_MS and event.ts_ms > record_ts_ms + MAX_FUTURE_MS:
        raise EventError(
            ABSURD_TIME, f"ts_ms is ahead of the log, whose own time is {record_ts_ms} ms"
        )
    return event


def decode_events(
    raws: Sequence[bytes | None], record_ts_ms: Sequence[int]
) -> tuple[list[Event], list[int], list[Reject]]:
    """Decode a batch; one bad event leaves its neighbours untouched.

    Args:
        raws: (n,) values of the records.
        record_ts_ms: (n,) time stamps of the records, ms.

    Returns:
        The events, the index in `raws` of each, and the rejects.
    """
    if (sound := _decode_sound(raws, record_ts_ms)) is not None:
        return sound, list(range(len(raws))), []
    events: list[Event] = []
    indices: list[int] = []
    rejects: list[Reject] = []
    for index, raw in enumerate(raws):
        try:
            events.append(decode_event(raw, record_ts_ms[index]))
            indices.append(index)
        except EventError as error:
            rejects.append(Reject(index, error))
    return events, indices, rejects


def _decode_sound(raws: Sequence[bytes | None], record_ts_ms: Sequence[int]) -> list[Event] | None:
    """Return the events of a batch in which all are sound, else None: the way of almost all."""
    if not raws or not all(raws) or max(map(len, raws)) > MAX_EVENT_BYTES:  # type: ignore[arg-type]
        return None
    decode = _EVENT_DECODER.decode
    try:
        events = [decode(raw) for raw in raws]  # type: ignore[arg-type]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return events if min(record_ts_ms) >= EARLIEST_TS_MS else None


def decode_item(raw: bytes) -> Item:
    """Return the catalogue item in `raw`.

    Raises:
        EventError: when it is no item.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise EventError(TOO_LARGE, f"{len(raw)} bytes, expected at most {MAX_EVENT_BYTES}")
    try:
        return _ITEM_DECODER.decode(raw)
    except msgspec.ValidationError as error:
        raise EventError(INVALID, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(UNDECODABLE, f"not JSON in UTF-8: {error}") from error


def encode_item(item: Item) -> bytes:
    """Return a catalogue item as JSON, for a topic whose fold will take it.

    Raises:
        EventError: the fold would refuse it.
    """
    raw = encode(item)
    decode_item(raw)
    return raw


def decode_entry(key: bytes | None, raw: bytes | None) -> tuple[str, Item | None]:
    """Return the item that a record of the catalogue is about, and its entry; None deletes it.

    Raises:
        EventError: the record cannot be used.

    >>> decode_entry(b"film-1", None)
    ('film-1', None)
    """
    if not key:
        raise EventError(EMPTY, "the record has no key; the key is the item id")
    try:
        item_id = key.decode()
    except UnicodeDecodeError as error:
        raise EventError(INVALID, f"the key is not UTF-8: {error}") from error
    item = None if raw is None else decode_item(raw)
    if item is not None and item.item_id != item_id:
        raise EventError(INVALID, f"the key {item_id!r} is not the item_id of the value")
    return item_id, item


def _reason(message: str) -> str:
    if message.endswith("`$.type`"):
        return UNKNOWN_TYPE
    if message.endswith("`$.ts_ms`"):
        return ABSURD_TIME
    return INVALID
