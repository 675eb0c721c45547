"""Where a replay sends its events: into Kafka, or over HTTP as a producer would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from freshet.core.events.schema import Event, Item


class Target(Protocol):
    """Takes events and catalogue items; keeps the order of each user's events."""

    def send(self, events: Sequence[Event]) -> int:
        """Send events.

        Returns:
            Bytes of the largest one.

        Raises:
            ServiceError: they were not taken.
        """

    def put_items(self, items: Sequence[Item]) -> None:
        """Put items into the catalogue.

        Raises:
            ServiceError: they were not taken.
        """

    def flush(self) -> None:
        """Wait until everything sent is kept.

        Raises:
            ServiceError: something is not.
        """
