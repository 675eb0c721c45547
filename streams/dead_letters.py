"""Records that cannot be applied, as they go to the dead-letter topic.

Law: a record's dead letter is acknowledged before the position moves past the record. It may be
written twice (after a crash), so its key names the record.
"""

from __future__ import annotations

from freshet.core.errors import EventError
from freshet.core.events.producer import Record
from freshet.core.metrics import EVENTS_REJECTED
from streams.record_batch import RecordBatch

MAX_VALUE_BYTES = 65_536

HEADER_PREFIX = "freshet.dead-letter."


def dead_letter(topic: str, batch: RecordBatch, index: int, error: EventError) -> Record:
    """Return the dead letter of one record of a batch.

    Its value is the record's own, byte for byte, up to `MAX_VALUE_BYTES`; the headers say where
    it stood and what is wrong with it.
    """
    EVENTS_REJECTED.labels(error.reason).inc()
    value = batch.values[index]
    origin = (batch.topic, str(batch.partition), str(batch.offsets[index]))
    headers = dict(zip(("topic", "partition", "offset"), origin, strict=True))
    headers |= {"reason": error.reason, "detail": error.detail[:1000]}
    if value is not None and len(value) > MAX_VALUE_BYTES:
        headers["truncated_from_bytes"] = str(len(value))
        value = value[:MAX_VALUE_BYTES]
    return Record(
        topic,
        batch.partition,
        "-".join(origin).encode(),
        value,
        [(HEADER_PREFIX + name, text.encode()) for name, text in headers.items()],
    )
