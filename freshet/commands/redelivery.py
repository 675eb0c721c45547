"""Dead letters sent again: where each belongs, which cannot go, and that none goes twice.

Law: a letter is sent before its receipt is written. After a crash between the two it is sent once
more, with the same event id, which the fold recognises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from freshet.core.errors import EventError
from freshet.core.events.codec import INVALID, TOO_LARGE
from freshet.core.events.dead_letter import DeadLetter, Origin
from freshet.core.events.dead_letter_log import DeadLetterLog
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.topics import Topics

RECEIPT_EVERY = 500

Chosen = Callable[[DeadLetter], bool]


class _Addressed(msgspec.Struct):
    """As much of an event as its partition takes."""

    user_id: str


@dataclass(slots=True)
class Redelivered:
    """What became of the letters that were chosen.

    Attributes:
        sent: how many went, by reason of the letter.
        refused: why the others did not go.
    """

    sent: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[Origin, str]] = field(default_factory=list)


def again(letter: DeadLetter, topics: Topics, partitions: int) -> Record:
    """Return the record that a letter is about, for its topic and the partition of its key.

    The user id of an event counts before the key of its record: it is what the fold looks at.

    Raises:
        EventError: it cannot be sent again; the detail says why.
    """
    if letter.origin.topic not in (topics.events, topics.catalog):
        raise EventError(
            INVALID,
            f"records of {letter.origin.topic} are not taken twice: what they tell has been passed "
            "by. Rebuild the state under another FRESHET_NAMESPACE",
        )
    for part, size in letter.cut.items():
        carried = len((letter.value if part == "value" else letter.key) or b"")
        raise EventError(
            TOO_LARGE,
            f"its {part} had {size:,} bytes, of which the letter carries {carried:,}; send the "
            "record again from where it came from",
        )
    owner = letter.key
    if letter.origin.topic == topics.events:
        owner = _user_id(letter.value) or owner
    partition = letter.origin.partition
    if owner:
        partition = int(partition_of_hash(murmur2_many([owner]), partitions)[0])
    return Record(letter.origin.topic, partition, letter.key, letter.value)


def redeliver(
    log: DeadLetterLog,
    producer: EventProducer | None,
    topics: Topics,
    partitions: int,
    chosen: Chosen,
) -> Redelivered:
    """Send the chosen letters again, those that have not been.

    Args:
        log: the letters.
        producer: the way to Kafka; None to look only.
        topics: of the installation.
        partitions: of each topic.
        chosen: which letters to send.

    Raises:
        ServiceError: Kafka did not acknowledge what was sent.
    """
    outcome = Redelivered()
    unconfirmed: list[DeadLetter] = []
    for letter in waiting(log):
        if not chosen(letter):
            continue
        try:
            record = again(letter, topics, partitions)
        except EventError as error:
            outcome.refused.append((letter.origin, error.detail))
            continue
        outcome.sent[letter.reason] += 1
        if producer is not None:
            producer.send_record(record)
            unconfirmed.append(letter)
            if len(unconfirmed) >= RECEIPT_EVERY:
                _confirm(producer, topics, unconfirmed)
    if producer is not None:
        _confirm(producer, topics, unconfirmed)
    return outcome


def dismiss(
    log: DeadLetterLog, producer: EventProducer, topics: Topics, chosen: Chosen
) -> Counter[str]:
    """Write receipts for the chosen letters without sending them, so that they wait no longer.

    Args:
        log: the letters.
        producer: the way to Kafka.
        topics: of the installation.
        chosen: which letters to dismiss.

    Returns:
        How many there were, by reason.

    Raises:
        ServiceError: Kafka did not acknowledge a receipt.
    """
    letters = [letter for letter in waiting(log) if chosen(letter)]
    for first in range(0, len(letters), RECEIPT_EVERY):
        _confirm(producer, topics, letters[first : first + RECEIPT_EVERY])
    return Counter(letter.reason for letter in letters)


def waiting(log: DeadLetterLog) -> Iterator[DeadLetter]:
    """Yield each letter that has not been sent again, once, though it may be there twice."""
    passed = {letter.origin for letter in log.letters() if letter.replayed}
    for letter in log.letters():
        if letter.origin not in passed:
            passed.add(letter.origin)
            yield letter


def _confirm(producer: EventProducer, topics: Topics, letters: list[DeadLetter]) -> None:
    """Wait until the letters are kept, then write their receipts."""
    producer.flush()
    for letter in letters:
        producer.send_record(letter.receipt().record(topics.dead_letters))
    producer.flush()
    letters.clear()


def _user_id(value: bytes | None) -> bytes | None:
    """Return the user id in what may be an event, None when there is none to be found."""
    try:
        return msgspec.json.decode(value or b"", type=_Addressed).user_id.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # this is what letters are about
        return None
