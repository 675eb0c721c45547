"""Deduplication: which events of a partition were accepted lately, whoever sent them.

A sender that got no answer sends the same again, minutes later, and much of it at once. So the ids
of accepted events are remembered by partition, apart from the records of users: a record remembers
the last few of its user for ever, and would need hundreds for somebody who sends hundreds.

Law: what is remembered is a function of the log alone, so that a log that is read again gives the
same state. The clock is the watermark, the newest event time of the partition: the time at which
the log took a record is another one in each replay. Of the last events that were accepted

- the last `FLOOR` are remembered always: where few events come, the watermark may stand for long
  and then jump, and a replay makes a day of it in a second;
- those before, up to `MOST`, for `WINDOW_S` of the watermark. Where so many come, it goes with the
  time of the log, but for clocks that are up to `MAX_FUTURE_MS` ahead: it runs that much faster at
  most, so that ten minutes are left.

Impressions are remembered apart from everything else, within bounds of the same size: a list is
twenty of them, and must not make anybody's purchase forgotten. An id is looked for in both: it
is an event's own, whatever the type is.

Bounds: an id takes 11 to 14 bytes of Redis and 20 to 40 of a worker. That is `MOST` ids for each of
the two, 23 MB of Redis for a partition that takes 1,700 interactions and 1,700 impressions in a
second, and 0.4 MB for one where little happens. Users who do nothing take nothing. (A ring in the
record of every user was the other way: 6 bytes for each of hundreds of ids, in memory for all
cached users, in Redis until somebody cleans up.)
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import MAX_FUTURE_MS
from freshet.core.state.records import Records
from streams.deduplication_loops import (
    LIMITS_DTYPE,
    fill_slots,
    find_copies,
    first_remembered,
    pack_blocks,
)
from streams.packed import Packed
from streams.store import Changes, Position

log = logging.getLogger(__name__)

FLOOR: Final = 1 << 14
MOST: Final = 1 << 20
REMEMBERED_S: Final = 600
"""What is promised: a copy that comes so much later at most is known, s."""
WINDOW_S: Final = REMEMBERED_S + MAX_FUTURE_MS // 1000
BLOCK: Final = 64  # ids in one field of Redis: few enough to be written again with every batch

_LIMITS = np.array([(FLOOR, MOST, WINDOW_S)], LIMITS_DTYPE)
_MOST_BLOCK_BYTES = 2 + BLOCK * (5 + 8)
_FIRST_RING = 1 << 10
_FULL = 0.75  # share of the slots in use
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Ring:
    """The ids that were accepted last of one kind of events of a partition.

    Attributes:
        letter: begins the names of its blocks.
        ids: (r,) uint64 by number, 0 for none; r is a power of two.
        marks: (r,) uint32, the watermark of each, s.
        slots: (2 r,) uint32; see `streams/deduplication_loops.py`.
        end: how many were accepted ever; the number of the next.
        tail: number of the oldest that is remembered.
        used: slots in use.
    """

    def __init__(self, letter: str, end: int = 0) -> None:
        self.letter = letter
        self.end = self.tail = self._written = end
        self._first_block = end // BLOCK
        self.ids = np.zeros(_FIRST_RING, np.uint64)
        self.marks = np.zeros(_FIRST_RING, np.uint32)
        self.slots = np.zeros(2 * _FIRST_RING, np.uint32)
        self.used = 0

    def load(self, blocks: Mapping[int, bytes], watermark_ms: int) -> None:
        """Take the blocks that Redis holds.

        Args:
            blocks: by their numbers.
            watermark_ms: of the partition.
        """
        found = {number: blob for number, blob in blocks.items() if number * BLOCK < self.end}
        if not found:
            return
        self._first_block = min(found)
        self.tail = self._first_block * BLOCK
        self._resize(_ring_for(self.end - self.tail))
        for number, blob in found.items():
            ids, marks = unpack_block(blob)
            places = (number * BLOCK + np.arange(len(ids))) & (len(self.ids) - 1)
            self.ids[places], self.marks[places] = ids, marks
        self.prune(watermark_ms)
        self.used = fill_slots(self.ids, self.slots, self.tail, self.end)

    def make_room(self, count: int) -> None:
        """Make the ring large enough for so many more, and find them quickly."""
        needed = _ring_for(self.end - self.tail + count)
        if needed > len(self.ids):
            self._resize(needed)
        elif self.used + count > _FULL * len(self.slots):
            self.used = fill_slots(self.ids, self.slots, self.tail, self.end)

    def prune(self, watermark_ms: int) -> None:
        """Forget what is remembered no more."""
        self.tail = first_remembered(self.marks, self.tail, self.end, watermark_ms, _LIMITS)

    def changes(self) -> tuple[list[str], Packed, list[str]]:
        """Return the blocks that changed since the last call: names, values, and those that go."""
        kept_from = self.tail // BLOCK
        gone = [f"{self.letter}{block}" for block in range(self._first_block, kept_from)]
        self._first_block = kept_from
        if self.end == self._written:
            return [], Packed(), gone
        first, last = max(self._written // BLOCK, kept_from), (self.end - 1) // BLOCK
        self._written = self.end
        out = np.empty((last + 1 - first) * _MOST_BLOCK_BYTES, np.uint8)
        lengths = np.empty(last + 1 - first, np.int64)
        size = pack_blocks(self.ids, self.marks, first, self.end, BLOCK, out, lengths)
        names = [f"{self.letter}{block}" for block in range(first, last + 1)]
        return names, Packed(out[:size].tobytes(), lengths.tolist()), gone

    def _resize(self, length: int) -> None:
        ids, marks = np.zeros(length, np.uint64), np.zeros(length, np.uint32)
        numbers = np.arange(max(self.end - len(self.ids), 0), self.end)
        old, new = numbers & (len(self.ids) - 1), numbers & (length - 1)
        ids[new], marks[new] = self.ids[old], self.marks[old]
        self.ids, self.marks = ids, marks
        self.slots = np.zeros(2 * length, np.uint32)
        self.used = fill_slots(self.ids, self.slots, self.tail, self.end)


class PartitionIds:
    """What was accepted lately of one partition."""

    def __init__(self, fields: Mapping[str, bytes], position: Position) -> None:
        shown = position.get("impressions", 0)
        self._acted = Ring("a", position.get("applied", 0) - shown)
        self._shown = Ring("i", shown)
        watermark_ms = position.get("watermark_ts_ms", 0)
        for ring in self._rings:
            own = {name[1:]: blob for name, blob in fields.items() if name[:1] == ring.letter}
            ring.load({int(name): blob for name, blob in own.items()}, watermark_ms)

    @property
    def _rings(self) -> tuple[Ring, Ring]:
        return self._acted, self._shown

    @property
    def impressions(self) -> int:
        """How many impressions were accepted ever."""
        return self._shown.end

    def find_copies(
        self,
        users: Records,
        events: NDArray[Any],
        event_ids: NDArray[np.uint64],
        impressions: NDArray[np.bool_],
        gone: NDArray[np.bool_],
        ts_ms: NDArray[np.int64],
        watermark_ms: int,
    ) -> NDArray[np.bool_]:
        """Return which events were accepted before, (n,), and remember the others.

        Args:
            users: records of `USER_DTYPE`.
            events: (n,) of `EVENT_DTYPE`, all of the partition.
            event_ids: (n,) see `event_ids`.
            impressions: (n,) whether each is one.
            gone: (n,) whether each is of a user who was erased.
            ts_ms: (n,) event times, none of them too far ahead.
            watermark_ms: of the partition, before the events.
        """
        acted, shown = self._rings
        n_shown = int(np.count_nonzero(impressions))
        acted.make_room(len(events) - n_shown)
        shown.make_room(n_shown)
        copies = np.zeros(len(events), np.bool_)
        counters = np.array([acted.end, acted.used, shown.end, shown.used])
        user, hashes = events["user"].copy(), events["event"].copy()
        watermark_ms = find_copies(
            users, user, hashes, event_ids, impressions, gone, ts_ms, watermark_ms, _LIMITS,
            acted.ids, acted.marks, acted.slots, shown.ids, shown.marks, shown.slots, counters,
            copies,
        )  # fmt: skip
        acted.end, acted.used, shown.end, shown.used = counters.tolist()
        for ring in self._rings:
            ring.prune(watermark_ms)
        return copies

    def changes(self, key: str) -> list[Changes]:
        """Return what brings a HASH up to date, if anything does."""
        found = [ring.changes() for ring in self._rings]
        names = [name for some, _, _ in found for name in some]
        gone = [name for _, _, some in found for name in some]
        if not (names or gone):
            return []
        joined = b"".join(packed.joined for _, packed, _ in found)
        lengths = [length for _, packed, _ in found for length in packed.lengths]
        return [Changes(key, names, Packed(joined, lengths), gone)]


def event_ids(digests: NDArray[np.uint64], user_hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each event id and its user, (n,) uint64, never 0.

    Args:
        digests: (n,) of the event ids; see `event_digests`.
        user_hashes: (n,) of the users' ids.
    """
    return np.asarray(np.maximum(digests ^ (user_hashes * _MULTIPLIER), np.uint64(1)))


def unpack_block(blob: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Return the ids and marks of a block, (n,) each; none when it is no block.

    See `streams.deduplication_loops.pack_blocks`.
    """
    count, n_runs = blob[:2] if len(blob) >= 2 else (0, 0)
    runs = np.frombuffer(blob[2 : 2 + 5 * n_runs], [("count", "u1"), ("mark", "<u4")])
    if len(blob) != 2 + 5 * n_runs + 8 * count or runs["count"].sum() != count:
        log.error("a block of event ids is damaged and left out: copies of them will count")
        return np.empty(0, np.uint64), np.empty(0, np.uint32)
    ids = np.frombuffer(blob[2 + 5 * n_runs :], "<u8")
    return ids, np.repeat(runs["mark"], runs["count"])


def _ring_for(count: int) -> int:
    """Return the length of a ring for so many ids, a power of two."""
    return min(1 << max((count + BLOCK).bit_length(), _FIRST_RING.bit_length() - 1), MOST)
