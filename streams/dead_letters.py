"""Records that cannot be applied, as they go to the dead-letter topic.

Law: a record's dead letter is in Kafka, or in the outbox, when the position moves past the record.
It may be written twice (after a crash), so its key names the record.
"""

from __future__ import annotations

from collections.abc import Iterable

from freshet.core.errors import EventError
from freshet.core.events.dead_letter import DeadLetter, Origin, cut_to_size, read_letter
from freshet.core.events.producer import Record
from streams.record_batch import RecordBatch

MAX_DETAIL_CHARACTERS = 1_000


def dead_letter(topic: str, batch: RecordBatch, index: int, error: EventError) -> Record:
    """Return the dead letter of one record of a batch.

    It carries key and value byte for byte, cut only where they are beyond any good record's; the
    headers say where the record stood and what is wrong with it.
    """
    key, value, cut = cut_to_size(batch.keys[index], batch.values[index])
    origin = Origin(batch.topic, batch.partition, batch.offsets[index])
    detail = error.detail[:MAX_DETAIL_CHARACTERS]
    return DeadLetter(origin, error.reason, detail, key, value, cut).record(topic)


def letters_among(topic: str, records: Iterable[Record]) -> list[DeadLetter]:
    """Return the dead letters among some records.

    Args:
        topic: of the dead letters.
        records: records of any topic.
    """
    letters = (each for each in records if each.topic == topic)
    return [read_letter(each.value, each.headers or (), 0) for each in letters]
