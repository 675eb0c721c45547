"""Reads the dead-letter topic from its start to where it ended when the reading began."""

from __future__ import annotations

from collections.abc import Iterator

from freshet.core.errors import EventError
from freshet.core.events.dead_letter import DeadLetter, read_letter
from freshet.core.events.topic_log import TopicLog
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings


class DeadLetterLog:
    """The dead letters of an installation; a context manager.

    Args:
        settings: names the broker and the namespace.
        partitions: of the topic.

    Attributes:
        strange: records of the topic that are no dead letters, as met so far.
    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.strange = 0
        self._partitions = range(partitions)
        self._log = TopicLog(settings, Topics(settings.namespace).dead_letters, "dead-letter-log")

    def letters(self, partition: int | None = None) -> Iterator[DeadLetter]:
        """Yield letters and receipts, those of a partition in their order.

        Args:
            partition: the only one to read; all when None.

        Raises:
            ServiceError: Kafka does not answer.
        """
        chosen = self._partitions if partition is None else [partition]
        for message in self._log.records(self._log.bounds(chosen)):
            try:
                _, ts_ms = message.timestamp()
                yield read_letter(message.value(), message.headers() or [], ts_ms)
            except EventError:
                self.strange += 1

    def close(self) -> None:
        """Close the client."""
        self._log.close()

    def __enter__(self) -> DeadLetterLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
