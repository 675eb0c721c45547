"""Where a replay sends its events: into Kafka, or over HTTP as a producer would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from freshet.core.events.schema import Event, Item


class Refusal(NamedTuple):
    """An event or item that was not taken; the others were.

    Attributes:
        at: its place among those that were sent.
        reason: why.
    """

    at: int
    reason: str


class Sent(NamedTuple):
    """What became of events.

    Attributes:
        largest_bytes: size of the largest one.
        refused: those that were not taken.
    """

    largest_bytes: int
    refused: Sequence[Refusal] = ()


class Target(Protocol):
    """Takes events and catalogue items; keeps the order of each user's events."""

    def send(self, events: Sequence[Event]) -> Sent:
        """Send events.

        Raises:
            ServiceError: they were not taken, for no fault of theirs.
        """

    def put_items(self, items: Sequence[Item]) -> Sequence[Refusal]:
        """Put items into the catalogue; return those that were not taken.

        Raises:
            ServiceError: they were not taken, for no fault of theirs.
        """

    def flush(self) -> None:
        """Wait until everything sent is kept.

        Raises:
            ServiceError: something is not.
        """
