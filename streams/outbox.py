"""The outbox: what the user fold tells others, kept in Redis until Kafka has it.

An entry is written by the script that writes the state and the position of its batch. So nothing is
told that Redis refused, what a worker could not tell any more the next one tells, and nobody who
reads the state waits for Kafka.

Law: what is told of a partition is told in the order of its offsets, and whoever takes a partition
over tells what is in its outbox first. To tell it again changes nothing; see `streams.deltas` and
`streams.outcomes`. A dead letter may come twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.producer import Record
from freshet.core.events.topics import Topics
from freshet.core.state.keys import Keys
from freshet.core.state.readable import readable_fields
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE, delta_records
from streams.item_names import ItemNames
from streams.packed import Packed
from streams.store import Changes


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """What a batch of one partition tells.

    Attributes:
        item_ids: (n,) the item of each activity row.
        activity: (n,) of `ACTIVITY_DTYPE`.
        covisits: (m,) of `COVISIT_ROW_DTYPE`.
        records: outcomes and dead letters.
    """

    item_ids: list[str] = []
    activity: bytes = b""
    covisits: bytes = b""
    records: list[Record] = []

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.activity or self.covisits or self.records)


def entries_of(
    item_ids: Sequence[str],
    activity: NDArray[Any],
    covisits: NDArray[Any],
    others: Mapping[int, list[Record]],
) -> dict[int, Entry]:
    """Return what each partition of a round tells.

    Args:
        item_ids: (n,) the item of each activity row.
        activity: (n,) of `ACTIVITY_DTYPE`; rows of a partition stand together, the partitions in
            the order of `others`.
        covisits: (m,) of `COVISIT_ROW_DTYPE`, as well.
        others: outcomes and dead letters of every partition.
    """
    counts = np.bincount(activity["source"], minlength=max(others) + 1).tolist()
    pairs = np.bincount(covisits["source"], minlength=max(others) + 1).tolist()
    entries, start, first = {}, 0, 0
    for partition, records in others.items():
        end, last = start + counts[partition], first + pairs[partition]
        entries[partition] = Entry(
            list(item_ids[start:end]),
            activity[start:end].tobytes(),
            covisits[first:last].tobytes(),
            records,
        )
        start, first = end, last
    return entries


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Entry)


class Outbox:
    """What is in the outboxes of a worker's partitions, as far as it may be taken out again."""

    def __init__(self, keys: Keys, topics: Topics, partitions: int) -> None:
        self._keys = keys
        self._topic = topics.item_deltas
        self._partitions = partitions
        self._names = ItemNames()
        self._kept: set[tuple[int, str]] = set()
        self._told: defaultdict[int, list[str]] = defaultdict(list)

    def changes(self, partition: int, end: int, entry: Entry) -> list[Changes]:
        """Return what puts in an entry and takes out what was told: one change, or none.

        Args:
            partition: of the events.
            end: next offset behind the batch; it names the entry.
            entry: what the batch tells.
        """
        told = self._told.pop(partition, [])
        names = [] if entry.says_nothing else [str(end)]
        if not (told or names):
            return []
        self._kept.update((partition, name) for name in names)
        values = Packed.of([_ENCODER.encode(entry) for _ in names])
        return [Changes(self._keys.outbox(partition), names, values, told)]

    def note_told(self, partition: int, end: int) -> None:
        """Note that Kafka has all that the batch tells, if anything."""
        name = str(end)
        if (partition, name) in self._kept:
            self._kept.remove((partition, name))
            self._told[partition].append(name)

    def told(self, partition: int) -> Sequence[str]:
        """Return the entries of a partition that nothing has taken out yet."""
        return tuple(self._told[partition])

    def load(self, partition: int, found: Mapping[str, bytes]) -> list[Record]:
        """Return what another worker left to be told, in its order, and forget what was before.

        Args:
            partition: that was assigned.
            found: its outbox.
        """
        entries: dict[str, Entry] = readable_fields(
            "outbox", self._keys.outbox(partition), found, _DECODER.decode
        )
        self._kept = {each for each in self._kept if each[0] != partition}
        self._told[partition] = list(found)  # damaged ones too: nobody can tell what they hold
        ends = sorted(int(name) for name in entries if name.isdecimal())
        return [record for end in ends for record in self._records(entries[str(end)])]

    def _records(self, entry: Entry) -> list[Record]:
        deltas = delta_records(
            self._topic,
            self._names,
            self._names.numbers(entry.item_ids),
            # copies: the compiled loop has been made for arrays that may be written
            np.frombuffer(entry.activity, ACTIVITY_DTYPE).copy(),
            np.frombuffer(entry.covisits, COVISIT_ROW_DTYPE).copy(),
            self._partitions,
        )
        return [*deltas, *entry.records]
