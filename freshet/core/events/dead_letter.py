"""What a dead letter looks like on its topic, for who writes and for who reads it.

A letter is the record that could not be applied, with its origin and what is wrong with it in the
headers. Its key names the origin, so one that was written twice is known as one. When a letter has
been sent again, a receipt with the same key and no value follows it in the same partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from freshet.core.errors import EventError
from freshet.core.events.codec import INVALID
from freshet.core.events.producer import Record

HEADER_PREFIX = "freshet.dead-letter."
MAX_VALUE_BYTES = 65_536
MAX_KEY_BYTES = 1_024

_CUT = {"value": "truncated_from_bytes", "key": "key_truncated_from_bytes"}
_REPLAYED = "replayed"


class Origin(NamedTuple):
    """Where a record stood."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return the name of the place: `topic-partition-offset`."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, name: str) -> Origin:
        """Return the place of a name.

        Raises:
            EventError: it is no such name.

        >>> Origin.parse("freshet.dead-letters-3-17")
        Origin(topic='freshet.dead-letters', partition=3, offset=17)
        """
        parts = name.rsplit("-", 2)
        if len(parts) != 3 or not parts[0] or not (parts[1].isdecimal() and parts[2].isdecimal()):
            raise EventError(INVALID, f"{name!r} is no place, expected TOPIC-PARTITION-OFFSET")
        return cls(parts[0], int(parts[1]), int(parts[2]))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be applied.

    Attributes:
        origin: where it stood.
        reason: a bounded word for what is wrong.
        detail: what was found and expected.
        key: of the record, its first `MAX_KEY_BYTES`.
        value: of the record, its first `MAX_VALUE_BYTES`.
        cut: how many bytes "key" or "value" had before they were cut.
        replayed: whether this is the receipt that says it was sent again.
        ts_ms: when it was written, ms; 0 before that.
    """

    origin: Origin
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    cut: Mapping[str, int] = field(default_factory=dict)
    replayed: bool = False
    ts_ms: int = 0

    def record(self, topic: str) -> Record:
        """Return it as it is produced, into the partition number of its origin."""
        headers = {
            "topic": self.origin.topic,
            "partition": str(self.origin.partition),
            "offset": str(self.origin.offset),
            "reason": self.reason,
            "detail": self.detail,
            **{_CUT[part]: str(size) for part, size in self.cut.items()},
        }
        encoded = {name: text.encode() for name, text in headers.items()}
        if self.key is not None:
            encoded["key"] = self.key
        if self.replayed:
            encoded[_REPLAYED] = b"1"
        return Record(
            topic,
            self.origin.partition,
            str(self.origin).encode(),
            self.value,
            [(HEADER_PREFIX + name, raw) for name, raw in encoded.items()],
        )

    def receipt(self) -> DeadLetter:
        """Return what says that it was sent again."""
        return DeadLetter(self.origin, self.reason, "", None, None, replayed=True)


def cut_to_size(
    key: bytes | None, value: bytes | None
) -> tuple[bytes | None, bytes | None, dict[str, int]]:
    """Return key and value as a letter carries them, and how long those were that were cut."""
    bounds = {"key": (key, MAX_KEY_BYTES), "value": (value, MAX_VALUE_BYTES)}
    cut = {part: len(raw) for part, (raw, most) in bounds.items() if raw and len(raw) > most}
    return key and key[:MAX_KEY_BYTES], value and value[:MAX_VALUE_BYTES], cut


def read_letter(
    value: bytes | None, headers: Sequence[tuple[str, bytes]], ts_ms: int
) -> DeadLetter:
    """Return the letter that a record of the dead-letter topic is.

    Args:
        value: of the record.
        headers: of the record.
        ts_ms: when the log took it, ms.

    Raises:
        EventError: it is none.
    """
    own = {
        name.removeprefix(HEADER_PREFIX): raw
        for name, raw in headers
        if name.startswith(HEADER_PREFIX)
    }
    try:
        return DeadLetter(
            Origin(own["topic"].decode(), int(own["partition"]), int(own["offset"])),
            own["reason"].decode(),
            own["detail"].decode(),
            own.get("key"),
            value,
            {part: int(own[name]) for part, name in _CUT.items() if name in own},
            _REPLAYED in own,
            ts_ms,
        )
    except (KeyError, ValueError) as error:
        raise EventError(INVALID, f"not a dead letter: its headers lack {error}") from error
