"""What Kafka already has of a replay that was interrupted, and whether a namespace has events.

Law: control records (heartbeats, erasures) are no events. The state remembers ids for minutes, so
it is the log itself that is asked which events came in behind a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from freshet.core.errors import ServiceError
from freshet.core.events.control import ERASURE_PREFIX, HEARTBEAT_PREFIX
from freshet.core.events.schema import Event
from freshet.core.events.topic_log import Bounds, TopicLog
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings

_READER = "replay"
_CONTROL = (ERASURE_PREFIX, HEARTBEAT_PREFIX)


class _Named(msgspec.Struct, gc=False):
    user_id: str
    event_id: str


def event_key(event: Event) -> tuple[str, str]:
    """Return what names an event."""
    return event.user_id, event.event_id


def events_behind(settings: Settings, ends: Sequence[int]) -> set[tuple[str, str]]:
    """Return the names of the events that the log has from these offsets on.

    Args:
        settings: name broker and namespace.
        ends: offset of each partition.

    Raises:
        ServiceError: Kafka does not answer, or the log is not the one of these offsets.
    """
    with TopicLog(settings, Topics(settings.namespace).events, _READER) as log:
        bounds = log.bounds(range(len(ends)))
        behind = {each: _behind(each, ends[each], found) for each, found in bounds.items()}
        return set(_names(log, behind))


def count_events(settings: Settings, reader: ProgressReader) -> int:
    """Return how many events a namespace has: those in the state, and those that wait.

    Raises:
        ServiceError: Redis or Kafka does not answer.
    """
    users = reader.read("users")
    counted = int(users.total("applied").sum())
    waiting = {
        partition: Bounds(max(int(position), int(start)), int(end))
        for partition, (position, start, end) in enumerate(
            zip(users.next, users.starts, users.ends, strict=True)
        )
    }
    if all(start >= end for start, end in waiting.values()):
        return counted
    with TopicLog(settings, Topics(settings.namespace).events, _READER) as log:
        return counted + sum(1 for record in log.records(waiting) if not _is_control(record))


def _behind(partition: int, end_before: int, found: Bounds) -> Bounds:
    """Return what came in since.

    Raises:
        ServiceError: some of it is gone, or the log is shorter than it was.
    """
    if found.start > end_before or found.end < end_before:
        raise ServiceError(
            "kafka",
            f"events[{partition}] has the offsets {found.start} to {found.end}, and the replay had "
            f"come to {end_before}: the topic is another, or dropped records since, so what was "
            "sent is not known. Replay from the start under another FRESHET_NAMESPACE",
        )
    return Bounds(end_before, found.end)


def _names(log: TopicLog, bounds: Mapping[int, Bounds]) -> Iterator[tuple[str, str]]:
    decode = msgspec.json.Decoder(_Named).decode
    for record in log.records(bounds):
        if _is_control(record):
            continue
        try:
            named = decode(record.value())
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # somebody else's: what a replay sends can be read
        yield named.user_id, named.event_id


def _is_control(record: object) -> bool:
    value = record.value()  # type: ignore[attr-defined]
    return value is not None and value.startswith(_CONTROL)
