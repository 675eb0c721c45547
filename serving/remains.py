"""What is left of a person whom the fold has erased, and until when.

Law: the state is erased at once; what cannot be erased is named with its end. A log is not written
over: what it held of a person goes when its retention is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from freshet.core.errors import ServiceError
from freshet.core.events.topics import Topics
from freshet.core.state.keys import CHANGES_KEPT_S

_BACKUPS: Final = "backups and snapshots of Redis and of Kafka's disks"


class Remains(Struct, frozen=True, kw_only=True):
    """Something that still names the person.

    Attributes:
        place: where it is.
        holds: what of the person.
        until_ts_ms: when it is gone at the latest; null where nothing ends it by itself, or where
            Kafka did not say.
    """

    place: str
    holds: str
    until_ts_ms: int | None


class Retention:
    """Says what remains of a person.

    Args:
        topics: of the namespace.
        ask: returns how long a topic may hold a record, ms, None for ever; may block, and raises
            `ServiceError` when Kafka does not say.
    """

    def __init__(self, topics: Topics, ask: Callable[[str], int | None]) -> None:
        self._ask = ask
        self._topics = {
            topics.events: "the events, and the erasure with the id",
            topics.slates: "the lists that were answered, and what was done with them",
            topics.dead_letters: "records that could not be applied, if there were any",
        }

    async def remains(self, erased_ts_ms: int) -> list[Remains]:
        """Return what remains of a person who is erased at a time of the log."""
        asked = (asyncio.to_thread(self._kept_ms, topic) for topic in self._topics)
        kept_ms = await asyncio.gather(*asked)
        in_topics = [
            Remains(
                place=f"Kafka topic {topic}",
                holds=holds,
                until_ts_ms=None if kept is None else erased_ts_ms + kept,
            )
            for (topic, holds), kept in zip(self._topics.items(), kept_ms, strict=True)
        ]
        notice = Remains(
            place="Redis, stream of changes",
            holds="the id, for servers to forget what they hold",
            until_ts_ms=erased_ts_ms + 1000 * CHANGES_KEPT_S,
        )
        backups = Remains(place=_BACKUPS, holds="whatever they were made of", until_ts_ms=None)
        return [*in_topics, notice, backups]

    def _kept_ms(self, topic: str) -> int | None:
        try:
            return self._ask(topic)
        except ServiceError:
            return None
