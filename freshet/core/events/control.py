"""Records of `events` that are no events: erasures of a person, and heartbeats.

Law: such a record begins with the bytes of its kind, written without white space as below. An event
never begins so, because no field of an event has these names.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from freshet.core.errors import EventError
from freshet.core.events.codec import INVALID, UNDECODABLE
from freshet.core.events.schema import MAX_FUTURE_MS, Identifier, TimestampMs

ERASURE_PREFIX: Final = b'{"erase":'
HEARTBEAT_PREFIX: Final = b'{"heartbeat":'

_HASH_BYTES: Final = 16


class Erasure(Struct, frozen=True, kw_only=True):
    """The wish that a person be forgotten; key = user id, like the person's events.

    Attributes:
        erase: id of the user.
        ts_ms: events of the user up to this time stay forgotten, whenever they come.
        erasure_id: the sender's name for it.
    """

    erase: Identifier
    ts_ms: TimestampMs
    erasure_id: Annotated[str, Meta(max_length=64)] = ""


class Heartbeat(Struct, frozen=True):
    """A sign that records still get from the log into the state; of no person, without a key.

    Attributes:
        heartbeat: when it was sent, ms.
    """

    heartbeat: int


_ERASURE_DECODER = msgspec.json.Decoder(Erasure)
_HEARTBEAT_DECODER = msgspec.json.Decoder(Heartbeat)


def encode_control(value: Erasure | Heartbeat) -> bytes:
    """Return a record's value.

    >>> encode_control(Heartbeat(1_700_000_000_000))
    b'{"heartbeat":1700000000000}'
    >>> encode_control(Erasure(erase="ann", ts_ms=1_700_000_000_000))[:14]
    b'{"erase":"ann"'
    """
    return msgspec.json.encode(value)


def decode_erasure(raw: bytes) -> Erasure:
    """Return the erasure in a value that begins with `ERASURE_PREFIX`.

    Raises:
        EventError: it is none after all.
    """
    try:
        return _ERASURE_DECODER.decode(raw)
    except msgspec.ValidationError as error:
        raise EventError(INVALID, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(UNDECODABLE, f"not JSON in UTF-8: {error}") from error


def forgotten_until_ms(erasure: Erasure, log_ts_ms: int) -> int:
    """Return up to when events of an erased person are forgotten, ms.

    A clock far ahead of the log cannot erase what has not happened: then it is the log's time.

    Args:
        erasure: the wish.
        log_ts_ms: when the log took it.

    >>> forgotten_until_ms(Erasure(erase="ann", ts_ms=1_800_000_000_000), 1_700_000_000_000)
    1700000000000
    """
    ahead = erasure.ts_ms > log_ts_ms + MAX_FUTURE_MS
    return log_ts_ms if ahead else erasure.ts_ms


def heartbeat_ts_ms(raw: bytes | None) -> int | None:
    """Return when a heartbeat was sent, ms; None for a record that is none.

    >>> heartbeat_ts_ms(b'{"heartbeat":17}'), heartbeat_ts_ms(b'{"heartbeat":"x"}')
    (17, None)
    """
    if raw is None or not raw.startswith(HEARTBEAT_PREFIX):
        return None
    try:
        return _HEARTBEAT_DECODER.decode(raw).heartbeat
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def user_hash(user_id: str) -> str:
    """Return the name under which an erased person is remembered, 32 hex digits.

    It does not lead back to the id, except for whoever tries all ids.

    >>> user_hash("ann")
    'd8963d899008cf8c05369be7b9042715'
    """
    return hashlib.blake2b(user_id.encode(), digest_size=_HASH_BYTES).hexdigest()
