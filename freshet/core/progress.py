"""How far the folds have come: the positions in Redis against the ends of the logs in Kafka.

Law 1 makes this exact: a fold's position is written together with the state that it stands for,
so a position at the end of its log means that everything in the log is in the state. What the user
fold tells the others may still be on its way from its outbox in Redis to Kafka; see `drained`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from numpy.typing import NDArray

from freshet.core.errors import ServiceError
from freshet.core.events.client import reader_options
from freshet.core.events.topics import Topics
from freshet.core.events.watermarks import watermarks
from freshet.core.settings import Settings
from freshet.core.state.client import CLIENT_ERRORS, connect
from freshet.core.state.keys import Keys

FOLDS = ("users", "items", "catalog", "slates")
REQUEST_S = 10.0

Offsets = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FoldProgress:
    """Where one fold stands, by partition.

    Attributes:
        fields: the position HASH of each partition, all of it.
        starts: (partitions,) offset of the oldest record that the log still has.
        ends: (partitions,) offset that the next record will get; of an open transaction, of its
            first record.
        idle: partitions in which no record stands between position and end: offsets there are
            those of markers of transactions, or of what these took back.
    """

    fields: list[Mapping[str, int]]
    starts: Offsets
    ends: Offsets
    idle: Sequence[int] = ()

    @property
    def next(self) -> Offsets:
        """Return (partitions,) the next offset to apply."""
        return self.total("next")

    @property
    def lag(self) -> Offsets:
        """Return (partitions,) records that are in the log and not in the state."""
        behind = np.asarray(np.maximum(self.ends - np.maximum(self.next, self.starts), 0))
        behind[list(self.idle)] = 0
        return behind

    @property
    def lost(self) -> Offsets:
        """Return (partitions,) records that the log dropped before they were applied."""
        return np.asarray(np.maximum(self.starts - self.next, 0))

    @property
    def ahead(self) -> Offsets:
        """Return (partitions,) how far the position is behind the end: the log is another one."""
        return np.asarray(np.maximum(self.next - self.ends, 0))

    def total(self, name: str) -> Offsets:
        """Return (partitions,) one field of the positions, 0 where it is not set."""
        return np.array([each.get(name, 0) for each in self.fields], np.int64)


class ProgressReader:
    """Reads how far each fold has come.

    Args:
        settings: names the services and the namespace.
        partitions: of each topic.
        request_s: how long an answer may take.
    """

    def __init__(
        self, settings: Settings, partitions: int, *, request_s: float = REQUEST_S
    ) -> None:
        self.partitions = partitions
        self._request_s = request_s
        self._redis = connect(settings, timeout_s=request_s)
        self._consumer = Consumer(
            reader_options(settings, f"{settings.namespace}-progress")
            | {
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
            }
        )
        self._looked: dict[tuple[str, int], _Look] = {}
        keys, topics = Keys(settings.namespace), Topics(settings.namespace)
        self._key: dict[str, Callable[[int], str]] = {
            "users": keys.user_position,
            "items": keys.item_position,
            "catalog": keys.catalog_position,
            "slates": keys.slate_position,
        }
        self._outbox = keys.outbox
        self._topic = {
            "users": topics.events,
            "items": topics.item_deltas,
            "catalog": topics.catalog,
            "slates": topics.slates,
        }

    def read(self, fold: str) -> FoldProgress:
        """Return where a fold stands.

        Positions are read before the ends, so a lag of 0 was true at the time of the second. And
        they are read behind the starts before anything is called lost: a log may drop what a fold
        applied a moment ago.

        Raises:
            ServiceError: Redis or Kafka does not answer.
        """
        fields = self.positions(fold)
        starts, ends = self._starts_and_ends(fold)
        progress = FoldProgress(fields, starts, ends)
        if progress.lost.any() or progress.ahead.any():
            fields = self.positions(fold)
            progress = FoldProgress(fields, starts, self._starts_and_ends(fold)[1])
        return dataclasses.replace(progress, idle=self._idle(fold, progress))

    def positions(self, fold: str) -> list[Mapping[str, int]]:
        """Return the position HASH of each partition of a fold.

        Raises:
            ServiceError: Redis does not answer.
        """
        found = self._of_each("HGETALL", self._key[fold])
        return [{name.decode(): int(value) for name, value in each.items()} for each in found]

    def drained(self) -> bool:
        """Return whether all that is in the logs is in the state, and no log waits for more.

        The folds are read in the order in which they feed each other, and the outboxes of the users
        behind their positions.

        Raises:
            ServiceError: a log dropped what was not applied or is another one, or a service does
                not answer.
        """
        for fold in FOLDS:
            progress = self.read(fold)
            require_whole(fold, progress)
            require_same_log(fold, progress)
            if progress.lag.any() or (fold == "users" and self._untold()):
                return False
        return True

    def close(self) -> None:
        """Close both clients."""
        self._consumer.close()
        self._redis.close()

    def __enter__(self) -> ProgressReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _idle(self, fold: str, progress: FoldProgress) -> list[int]:
        """Return the partitions that only seem to be behind, see `FoldProgress.idle`.

        Nobody pays for it while the fold moves: it is looked at once for each position that stays.
        """
        idle = []
        for partition in np.flatnonzero(progress.lag).tolist():
            key = fold, partition
            at = int(max(progress.next[partition], progress.starts[partition]))
            end = int(progress.ends[partition])
            before = self._looked.get(key)
            if before is not None and before.at != at:
                self._looked[key] = _Look(at, end, None)
                continue
            if before is None or before.empty is None or (before.empty and before.end != end):
                empty = not self._has_record(self._topic[fold], partition, at, end)
                self._looked[key] = _Look(at, end, empty)
            if self._looked[key].empty:
                idle.append(partition)
        return idle

    def _has_record(self, topic: str, partition: int, start: int, end: int) -> bool:
        """Return whether a record that may be read stands in [start, end)."""
        self._consumer.assign([TopicPartition(topic, partition, start)])
        try:
            message: Any = self._consumer.poll(self._request_s)
        finally:
            self._consumer.unassign()
        if message is None:
            return True  # nobody knows: a lag that is shown is better than one that is hidden
        if message.error() is not None:
            return bool(message.error().code() != KafkaError._PARTITION_EOF)
        return bool(message.offset() < end)

    def _untold(self) -> bool:
        return any(self._of_each("HLEN", self._outbox))

    def _of_each(self, command: str, key: Callable[[int], str]) -> list[Any]:
        """Return the answers to a command about a key of each partition."""
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for partition in range(self.partitions):
                    pipeline.execute_command(command, key(partition))
                return list(pipeline.execute())
        except CLIENT_ERRORS as error:
            raise ServiceError("redis", f"{type(error).__name__}: {error}") from error

    def _starts_and_ends(self, fold: str) -> tuple[Offsets, Offsets]:
        topic = self._topic[fold]
        bounds = [self._bounds(topic, partition) for partition in range(self.partitions)]
        starts, ends = np.array(bounds, np.int64).reshape(-1, 2).T
        return starts, ends

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        try:
            return watermarks(self._consumer, TopicPartition(topic, partition), self._request_s)
        except KafkaException as error:
            raise ServiceError("kafka", f"{topic}[{partition}]: {error}") from error


def require_same_log(fold: str, progress: FoldProgress) -> None:
    """Make the state of another log a loud error: it would look drained for ever.

    Raises:
        ServiceError: the log ends before the fold's position.
    """
    for partition in np.flatnonzero(progress.ahead):
        raise ServiceError(
            "kafka",
            f"the state of the {fold} fold is of another log: partition {partition} ends at offset "
            f"{progress.ends[partition]}, the state has come to {progress.next[partition]}; "
            "the topic was created anew or the state belongs to another Kafka cluster, and a "
            "worker that starts says so too. Replay under another FRESHET_NAMESPACE",
        )


class _Look(NamedTuple):
    """What was found behind a position; `empty` is None before the first look."""

    at: int
    end: int
    empty: bool | None


def require_whole(fold: str, progress: FoldProgress) -> None:
    """Make a hole between state and log a loud error.

    Raises:
        ServiceError: the log's start has moved past the fold's position.
    """
    for partition in np.flatnonzero(progress.lost):
        raise ServiceError(
            "kafka",
            f"the log of the {fold} fold lost records: partition {partition} begins at offset "
            f"{progress.starts[partition]}, the state has come to {progress.next[partition]}; "
            "the broker dropped them before a worker read them. Rebuild the state from the "
            "recorded log under another FRESHET_NAMESPACE",
        )
