"""Whether a worker still gets on: where its partitions stand, and the rules that judge it.

Law: liveness is progress. A process that answers may still have stopped to work, so what counts is
that positions move while records wait. The rules are pure: the clock is an argument, and what they
are shown was asked of the brokers by another client than the one that they judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from freshet.core.errors import LivenessError

Partition = tuple[str, int]
"""Name of a fold, and number of a partition of its topic."""

JOIN_STALLS = 2
"""Joining the group may take so many times `stall_s`: the sessions of the dead end first."""


class AssignedPositions:
    """How far each partition of this worker has come, for readers in other threads.

    One thread writes; a reader gets a copy. A position here is a claim of the worker's own: what
    it applied, or passed over because it had been applied before.
    """

    def __init__(self) -> None:
        self._assigned: frozenset[Partition] | None = None
        self._next: dict[Partition, int] = {}

    def revoke(self) -> None:
        """Forget all: the group is about to share the partitions out anew."""
        self._assigned = None
        self._next = {}

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Note which partitions are this worker's, before or after they are started."""
        self._assigned = frozenset(partitions)

    def move(self, partition: Partition, next_offset: int) -> None:
        """Note the offset from which a partition goes on."""
        self._next[partition] = next_offset

    def read(self) -> dict[Partition, int | None] | None:
        """Return the position of each partition, None for one that is not started.

        Returns:
            None while the group has not answered which partitions are this worker's.
        """
        assigned, positions = self._assigned, self._next
        if assigned is None:
            return None
        return {partition: positions.get(partition) for partition in assigned}

    def started(self, fold: str) -> dict[int, int]:
        """Return the position of each partition of a fold that this worker has started."""
        found = self.read() or {}
        return {at[1]: next_ for at, next_ in found.items() if at[0] == fold and next_ is not None}


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a worker at one moment.

    Attributes:
        positions: see `AssignedPositions.read`.
        ends: offset that the next record of a partition will get; empty when no broker answered.
        loop_silent_s: seconds since the event loop last did as it was asked.
        memory_bytes: memory that the process holds.
    """

    positions: Mapping[Partition, int | None] | None
    ends: Mapping[Partition, int]
    loop_silent_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker may take; 0 = anything.

    Attributes:
        stall_s: while records wait and no position moves.
        broker_gone_s: while no broker answers.
        frozen_s: while the whole process stands still (it, or its machine, was suspended).
        memory_bytes: of memory.
    """

    stall_s: float = 0
    broker_gone_s: float = 0
    frozen_s: float = 0
    memory_bytes: int = 0


@dataclass(slots=True)
class _Mark:
    next_offset: int
    since_s: float


@dataclass(slots=True)
class Liveness:
    """Judges a worker by what is seen of it, again and again.

    Attributes:
        limits: see `Limits`.
        now_s: when the judging began, and then when it was last done, monotonic.
    """

    limits: Limits
    now_s: float
    _answered_s: float = field(init=False)
    _settled_s: float = field(init=False)
    _marks: dict[Partition, _Mark] = field(init=False, default_factory=dict)
    _empty_to: dict[Partition, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._answered_s = self._settled_s = self.now_s

    def wake(self, asleep_s: float) -> None:
        """Judge a sleep that should have been short.

        The group may have expelled who was silent for so long. Its clients are known to join again
        and again then, each time undone by what another part of them still sends; beginning anew
        takes seconds.

        Args:
            asleep_s: how long it was.

        Raises:
            LivenessError: the worker must end.
        """
        limit_s = self.limits.frozen_s
        if limit_s and asleep_s >= limit_s:
            raise LivenessError(
                "frozen",
                f"the process stood still for {asleep_s:.0f} s, expected less than {limit_s:g} s: "
                "the group may have given its partitions away",
            )

    def look(self, now_s: float, sight: Sight) -> list[Partition]:
        """Judge what is seen.

        Args:
            now_s: monotonic seconds.
            sight: see `Sight`.

        Returns:
            Partitions that have stood still for too long, each to be confirmed by `stalled` or
            cleared by `clear`.

        Raises:
            LivenessError: the worker must end.
        """
        self.now_s = now_s
        self._require_memory(sight.memory_bytes)
        self._require_broker(sight)
        if not self.limits.stall_s or not sight.ends:
            return []
        self._require_loop(sight.loop_silent_s)
        self._require_assignment(sight.positions)
        return self._standing(sight)

    def clear(self, partition: Partition, end: int) -> None:
        """Note that no record waits below `end`: markers of transactions fill the log there."""
        self._empty_to[partition] = end
        self._marks[partition].since_s = self.now_s

    def stalled(self, partition: Partition) -> LivenessError:
        """Return the error for a partition whose next record was seen in the log."""
        mark = self._marks[partition]
        fold, number = partition
        return LivenessError(
            "stalled",
            f"partition {number} of the {fold} fold stands at offset {mark.next_offset} for "
            f"{self.now_s - mark.since_s:.0f} s, expected to move within "
            f"{self.limits.stall_s:g} s because the log has records there",
        )

    def _require_memory(self, memory_bytes: int) -> None:
        limit = self.limits.memory_bytes
        if limit and memory_bytes > limit:
            raise LivenessError(
                "memory",
                f"the process holds {memory_bytes >> 20} MiB, expected at most {limit >> 20} "
                "(FRESHET_WORKER_MEMORY_MIB)",
            )

    def _require_broker(self, sight: Sight) -> None:
        if sight.ends:
            self._answered_s = self.now_s
            return
        self._marks.clear()  # nobody can read where nobody answers
        self._settled_s = self.now_s
        gone_s = self.now_s - self._answered_s
        if self.limits.broker_gone_s and gone_s >= self.limits.broker_gone_s:
            raise LivenessError(
                "broker_gone",
                f"no broker of Kafka has answered for {gone_s:.0f} s; is it running and "
                "FRESHET_KAFKA_BOOTSTRAP right?",
            )

    def _require_loop(self, silent_s: float) -> None:
        if silent_s >= self.limits.stall_s:
            raise LivenessError(
                "stalled", f"the event loop has done nothing it was asked to for {silent_s:.0f} s"
            )

    def _require_assignment(self, positions: Mapping[Partition, int | None] | None) -> None:
        if positions is not None and None not in positions.values():
            self._settled_s = self.now_s
            return
        joining_s = self.now_s - self._settled_s
        if joining_s >= JOIN_STALLS * self.limits.stall_s:
            raise LivenessError(
                "stalled", f"the consumer group has not let this worker read for {joining_s:.0f} s"
            )

    def _standing(self, sight: Sight) -> list[Partition]:
        if sight.positions is None:  # a worker that joins again and again gets on no better for it
            return []
        found = []
        own = sight.positions
        self._marks = {each: mark for each, mark in self._marks.items() if each in own}
        for partition, position in own.items():
            if position is None:
                continue
            mark = self._marks.get(partition)
            waiting = sight.ends.get(partition, 0) > max(position, self._empty_to.get(partition, 0))
            if mark is None or mark.next_offset != position or not waiting:
                self._marks[partition] = _Mark(position, self.now_s)
            elif self.now_s - mark.since_s >= self.limits.stall_s:
                found.append(partition)
        return found
