"""The log of what was answered, for training and off-policy evaluation.

Law: an answer never waits for its log. While Kafka does not acknowledge, what cannot be queued is
dropped and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from freshet.core.clock import Clock
from freshet.core.errors import ServiceError
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Placed, Record
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.metrics import RECORDS_LOGGED
from serving.answer import Answer
from serving.assembly import Served

MAX_BYTES: Final = 8 << 20
"""Records that wait for their acknowledgement, unless the settings say otherwise."""

log = logging.getLogger(__name__)

_ENCODER = msgspec.json.Encoder()


class Producer(Protocol):
    """The way to Kafka.

    Attributes:
        waiting_bytes: size of what was delivered and placed without an acknowledgement so far.
    """

    @property
    def waiting_bytes(self) -> int:
        """Size of what waits for its acknowledgement."""

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        on_delivery: Callable[[Any, Any], None] | None = None,
    ) -> None:
        """Queue a record."""

    async def deliver(self, records: Sequence[Record], timeout_s: float = 5.0) -> list[str | None]:
        """Produce records and wait for their acknowledgement; None, or why not, for each."""

    async def place(self, record: Record, timeout_s: float = 5.0) -> Placed:
        """Produce one record and return its place in the log."""


class AnswerLog:
    """Sends slates, and the impressions that the server reports."""

    def __init__(
        self,
        producer: Producer,
        topics: Topics,
        partitions: int,
        clock: Clock,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._producer = producer
        self._topics = topics
        self._partitions = partitions
        self._clock = clock
        self._sent_bytes = 0  # counted by the event loop alone
        self._settled_bytes = 0  # counted by the producer's thread alone

    def slate(self, served: Served) -> None:
        """Log an answer with the features of its slots."""
        value = _ENCODER.encode(served.slate(self._clock()))
        self._send(self._topics.slates, served.answer.user, value)

    def impressions(self, shown: Answer) -> None:
        """Count every item of an answer as shown; a repeated send is dropped by its event id."""
        now_ms = self._clock()
        for item in shown.items:
            event = Event(
                event_id=f"{shown.request_id}:{item.position}",
                type="impression",
                user_id=shown.user,
                item_id=item.item_id,
                ts_ms=now_ms,
                request_id=shown.request_id,
                position=item.position,
            )
            self._send(self._topics.events, shown.user, encode(event))

    def _send(self, topic: str, user_id: str, value: bytes) -> None:
        if self._sent_bytes - self._settled_bytes >= self._max_bytes:
            RECORDS_LOGGED.labels("dropped").inc()
            return
        partition, size = partition_of(user_id, self._partitions), len(value)

        def settle(error: Any, _message: Any) -> None:
            self._settled_bytes += size
            RECORDS_LOGGED.labels("delivered" if error is None else "failed").inc()

        try:
            self._producer.send(topic, partition, value, key=user_id.encode(), on_delivery=settle)
        except ServiceError as error:
            log.warning("an answer could not be logged: %s", error)
            RECORDS_LOGGED.labels("failed").inc()
        else:
            self._sent_bytes += size
