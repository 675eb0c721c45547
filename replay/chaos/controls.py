"""The doors of the chaos into a worker: bugs on demand, and protections taken away.

Nothing of this is in the product. The worker of a chaos run is composed of the same parts, with
these around them: `StruckStore`, `StruckFold`, `MuteProducer`, `ForgetfulItems` and `LossyItems`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.client import Brokers
from freshet.core.events.codec import decode_events
from freshet.core.events.producer import EventProducer, Record
from replay.chaos.kafka_commits import KafkaCommits
from streams.fold_shell import FoldShell
from streams.item_shell import ItemShell
from streams.partition_deltas import PartitionDeltas
from streams.record_batch import RecordBatch
from streams.store import Position, Store, Wanted, Write

POSITION: Final = "position"
EVENT_IDS: Final = "event-ids"
SOURCE_OFFSETS: Final = "source-offsets"
DEAD_LETTERS: Final = "dead-letters"
OUTBOX: Final = "outbox"
TRANSITIONS: Final = "transitions"
PROTECTIONS: Final = {
    POSITION: "read from Kafka's commit, and write whatever comes",
    EVENT_IDS: "count an event again when it is sent again",
    SOURCE_OFFSETS: "count rows of the item deltas again when they are emitted again",
    DEAD_LETTERS: "pass over what cannot be read, in silence",
    OUTBOX: "forget what a worker that dies had not told the other folds",
    TRANSITIONS: "lose one transition in two hundred",
}
LOST_ONE_IN: Final = 200


class PlantedError(Exception):
    """What a programmer got wrong."""


@dataclass(frozen=True, slots=True)
class Bugs:
    """Bugs on demand: files that name a place; who passes it first takes the file and fails.

    Attributes:
        tokens: folder of the files.
    """

    tokens: Path

    def strike(self, place: str) -> None:
        """Fail if it is asked for.

        Raises:
            PlantedError: it is.
        """
        for token in self.tokens.glob(f"{place}-*"):
            try:
                token.unlink()
            except FileNotFoundError:  # another worker was first
                continue
            raise PlantedError(f"{token.name}, asked for by the chaos")


class StruckStore:
    """A store with bugs at its door and, if asked for, without a protection.

    Args:
        inner: the store.
        bugs: on demand.
        commits: where to start from instead of the position, None to leave it as it is.
        unkept: keys of HASHes that nothing is written to.
        folded: a file that is made when the first state is written; None for none.
    """

    def __init__(
        self,
        inner: Store,
        bugs: Bugs,
        commits: KafkaCommits | None = None,
        *,
        unkept: Container[str] = (),
        folded: Path | None = None,
    ) -> None:
        self._inner = inner
        self._bugs = bugs
        self._commits = commits
        self._unkept = unkept
        self._folded = folded

    async def position(self, key: str) -> Position:
        """Return the position, or what stands in for it."""
        found = await self._inner.position(key)
        if self._commits is None:
            return found
        committed = self._commits.of(key)
        found.pop("next", None)
        return found if committed is None else {**found, "next": committed}

    async def fields(self, wanted: Wanted) -> list[list[bytes | None]]:
        """As the store itself does."""
        return await self._inner.fields(wanted)

    async def numbers(self, key: str) -> dict[str, int]:
        """As the store itself does."""
        return await self._inner.numbers(key)

    async def scan(self, key: str, cursor: int, count: int) -> tuple[int, dict[bytes, bytes]]:
        """As the store itself does."""
        return await self._inner.scan(key, cursor, count)

    async def apply(self, writes: Sequence[Write]) -> None:
        """Write, failing before or after when a bug is due."""
        self._bugs.strike("before_write")
        if self._commits is not None:
            writes = [await self._unchecked(write) for write in writes]
        loses = any(
            each.names and each.key in self._unkept for write in writes for each in write.hashes
        )
        if self._unkept:
            writes = [self._without_unkept(write) for write in writes]
        await self._inner.apply(writes)
        if self._folded is not None and any(each.names for w in writes for each in w.hashes):
            self._folded.touch()
            self._folded = None
        if loses or not self._unkept:  # a bug where nothing could be lost would prove nothing
            self._bugs.strike("after_write")

    async def _unchecked(self, write: Write) -> Write:
        """Return a write that expects whatever is there."""
        found = await self._inner.position(write.move.key)
        return replace(write, move=replace(write.move, expected=found.get("next", -1)))

    def _without_unkept(self, write: Write) -> Write:
        return replace(
            write, hashes=[each for each in write.hashes if each.key not in self._unkept]
        )


class MuteProducer(EventProducer):
    """A producer that loses the dead letters."""

    def __init__(self, brokers: Brokers, dead_letters: str) -> None:
        super().__init__(brokers)
        self._dead_letters = dead_letters

    async def deliver(self, records: Sequence[Record], timeout_s: float = 5.0) -> list[str | None]:
        """Produce all but the dead letters, and say that all were kept."""
        kept = [record for record in records if record.topic != self._dead_letters]
        results = await super().deliver(kept, timeout_s)
        return [*results, *[None] * (len(records) - len(kept))]


class ForgetfulItems(ItemShell):
    """An item fold that does not know which rows it has applied."""

    def _passed(self, partition: int) -> NDArray[np.int64]:
        return np.zeros_like(super()._passed(partition))


class LossyItems(ItemShell):
    """An item fold that loses some transitions, always the same ones."""

    async def _fold_covisits(self, reads: Sequence[PartitionDeltas]) -> list[Any]:
        for read in reads:
            read.covisits = [rows[rows["draw"] % LOST_ONE_IN != 0] for rows in read.covisits]
        return await super()._fold_covisits(reads)


class StruckFold:
    """A fold with bugs at its door and, if asked for, with events that are all new to it.

    Everything else is the fold's own.
    """

    def __init__(self, inner: FoldShell[Any, Any], bugs: Bugs, *, new_ids: bool = False) -> None:
        self._inner = inner
        self._bugs = bugs
        self._new_ids = new_ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def apply(self, batches: Sequence[RecordBatch]) -> None:
        """Apply a round, failing first when a bug is due."""
        self._bugs.strike("before_fold")
        await self._inner.apply([_renamed(each) for each in batches] if self._new_ids else batches)


def _renamed(batch: RecordBatch) -> RecordBatch:
    """Return the batch with event ids that never came before, and with its poison as it is."""
    events, indices, _ = decode_events(batch.values, batch.ts_ms)
    values = list(batch.values)
    for event, index in zip(events, indices, strict=True):
        event_id = f"{batch.partition}-{batch.offsets[index]}"
        values[index] = msgspec.json.encode(msgspec.structs.replace(event, event_id=event_id))
    return replace(batch, values=values)
