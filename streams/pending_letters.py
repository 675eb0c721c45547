"""How many dead letters wait to be sent again: a gauge, so that an alert sees a burst that is over.

Every worker looks at the whole topic and exports the same figure. It reads what is new since its
last look, in a thread of its own, and nothing while nothing is new.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from freshet.core.errors import EventError, ServiceError
from freshet.core.events.codec import REJECT_REASONS
from freshet.core.events.dead_letter import DeadLetter, read_letter
from freshet.core.events.topic_log import Bounds
from freshet.core.metrics import DEAD_LETTERS_PENDING
from streams.partition_events import WRONG_PARTITION

LOOK_S: Final = 15.0
MAX_READ: Final = 20_000
"""Records of a partition that a first look reads, from the end; older letters are not counted."""
OTHER: Final = "other"
REASONS: Final = (*REJECT_REASONS, WRONG_PARTITION, OTHER)

log = logging.getLogger(__name__)


class Letters(Protocol):
    """The records of the dead-letter topic; see `TopicLog`."""

    def bounds(self, partitions: Iterable[int]) -> dict[int, Bounds]:
        """Return where each partition begins and ends."""

    def records(self, bounds: Mapping[int, Bounds]) -> Iterator[Any]:
        """Yield the records within bounds."""


class PendingLetters:
    """The letters that were not sent again, by place.

    >>> from freshet.core.events.dead_letter import Origin
    >>> pending = PendingLetters()
    >>> letter = DeadLetter(Origin("t.events", 0, 9), "invalid", "", None, None)
    >>> pending.note(0, 0, letter)
    >>> pending.by_reason()["invalid"]
    1
    >>> pending.note(0, 1, letter.receipt())
    >>> pending.by_reason()["invalid"]
    0
    """

    def __init__(self) -> None:
        self._letters: dict[int, dict[str, tuple[int, str]]] = {}

    def note(self, partition: int, offset: int, letter: DeadLetter) -> None:
        """Take in a letter, or the receipt that ends its wait."""
        there = self._letters.setdefault(partition, {})
        if letter.replayed:
            there.pop(str(letter.origin), None)
        else:
            reason = letter.reason if letter.reason in REASONS else OTHER
            there[str(letter.origin)] = (offset, reason)

    def forget_before(self, partition: int, start: int) -> None:
        """Drop the letters that the log has dropped."""
        there = self._letters.get(partition, {})
        for place in [place for place, (offset, _) in there.items() if offset < start]:
            del there[place]

    def by_reason(self) -> Counter[str]:
        """Return how many wait, by reason."""
        return Counter(reason for there in self._letters.values() for _, reason in there.values())


class LetterWatch:
    """Counts the letters that wait, and exports it.

    Args:
        letters: the topic.
        partitions: of the topic.
    """

    def __init__(self, letters: Letters, partitions: int) -> None:
        self._letters = letters
        self._partitions = range(partitions)
        self._pending = PendingLetters()
        self._next: dict[int, int] = {}
        self._stopped = threading.Event()
        start_at_zero()

    def start(self) -> None:
        """Begin to look, again and again, until the process ends."""
        threading.Thread(target=self._run, name="letters", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> None:
        """Look once.

        Raises:
            ServiceError: Kafka does not answer.
        """
        new = {}
        for partition, (start, end) in self._letters.bounds(self._partitions).items():
            self._pending.forget_before(partition, start)
            first = max(self._next.get(partition, end - MAX_READ), start)
            if first < end:
                new[partition] = Bounds(first, end)
        for message in self._letters.records(new):
            try:
                letter = read_letter(message.value(), message.headers() or [], 0)
            except EventError:
                continue  # `freshet dlq ls` counts what is no letter
            self._pending.note(message.partition(), message.offset(), letter)
        self._next |= {partition: bounds.end for partition, bounds in new.items()}
        found = self._pending.by_reason()
        for reason in REASONS:
            DEAD_LETTERS_PENDING.labels(reason).set(found[reason])

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except ServiceError as error:  # whether the brokers are there is judged elsewhere
                log.debug("the dead letters cannot be looked at: %s", error)
            self._stopped.wait(LOOK_S)


def start_at_zero() -> None:
    """Let the gauge exist before the first letter."""
    for reason in REASONS:
        DEAD_LETTERS_PENDING.labels(reason)
