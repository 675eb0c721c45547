"""The traffic: its truth is what a reader of its records would find."""

from collections import Counter
from itertools import groupby

import msgspec
import numpy as np
import pytest

from freshet.core.errors import EventError
from freshet.core.events.codec import REJECT_REASONS, decode_event
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.events.schema import EVENT_TYPES, Event
from replay.chaos.traffic import BULK, POISON_HEADER, POISONS, Traffic
from streams.deduplication import FLOOR
from streams.partition_events import WRONG_PARTITION

NOW_MS = 1_700_000_000_000
PARTITIONS = 4


def traffic(seed: int = 1, low_rating: float = 2.0) -> Traffic:
    return Traffic(np.random.default_rng(seed), "t", PARTITIONS, lambda: NOW_MS, low_rating)


def reason_of(record: Record) -> str | None:
    """The reason that a poison record carries, None when it is an event."""
    return dict(record.headers).get(POISON_HEADER, b"").decode() or None


def events_of(records: list[Record]) -> list[Event]:
    """The events among the records, decoded, with their copies."""
    return [decode_event(each.value, NOW_MS) for each in records if reason_of(each) is None]


def test_nothing_asked_for_is_nothing_sent() -> None:
    """And nothing is true of it."""
    empty = traffic()
    assert empty.chunk(0) == []
    assert (empty.events, dict(empty.users.sent), dict(empty.items.sent)) == (0, {}, {})


def test_the_same_seed_sends_the_same() -> None:
    """Byte for byte."""
    first, again, other = traffic(3).chunk(500), traffic(3).chunk(500), traffic(4).chunk(500)
    assert first == again
    assert first != other


@pytest.mark.parametrize("low_rating", [0.0, 2.0, 4.0])
def test_the_truth_is_what_the_records_say_without_their_copies(low_rating: float) -> None:
    """Of every person, item and type, by the threshold of stars of the installation."""
    sent = traffic(low_rating=low_rating)
    different = {event.event_id: event for event in events_of(sent.chunk(5_000))}
    assert sent.events == len(different)
    for ledger, name_of in ((sent.users, "user_id"), (sent.items, "item_id")):
        counted = Counter(
            (getattr(each, name_of), "dislike" if (each.value or 9) <= low_rating else each.type)
            for each in different.values()
        )
        told = {
            (name, kind): int(count)
            for name, counts in ledger.sent.items()
            for kind, count in zip(EVENT_TYPES, counts, strict=True)
            if count
        }
        assert told == counted


def test_copies_come_while_the_state_remembers_the_first() -> None:
    """A copy that comes later than that is a new event, and no truth would be known."""
    seen: dict[str, int] = {}
    accepted = [0] * PARTITIONS
    distances = []
    for event in events_of(traffic().chunk(60_000)):
        partition = partition_of(event.user_id, PARTITIONS)
        if event.event_id in seen:
            distances.append(accepted[partition] - seen[event.event_id])
        else:
            seen[event.event_id] = accepted[partition]
            accepted[partition] += 1
    assert 2_000 < len(distances) < 6_000
    assert max(distances) < FLOOR // 2
    # Far apart: behind thousands of events of the partition, and many more of all.
    assert sum(each > 2_000 for each in distances) > 500


def test_a_whole_request_is_sent_again() -> None:
    """A hundred events in a row that were in a row before."""
    ids = [event.event_id for event in events_of(traffic().chunk(20_000))]
    first = {name: at for at, name in reversed(list(enumerate(ids)))}
    again = [first[name] < at for at, name in enumerate(ids)]
    runs = [len(list(run)) for is_copy, run in groupby(again) if is_copy]
    assert max(runs) >= BULK
    assert sum(run >= BULK for run in runs) >= 3


def test_events_go_to_the_partition_of_their_user_and_out_of_order() -> None:
    """In time, not in place."""
    records = [each for each in traffic().chunk(1_000) if reason_of(each) is None]
    for record, event in zip(records, events_of(records), strict=True):
        assert record.partition == partition_of(event.user_id, PARTITIONS)
        assert record.key == event.user_id.encode()
    times = [event.ts_ms for event in events_of(records)]
    assert times != sorted(times)
    assert max(times) <= NOW_MS


def test_poison_is_refused_for_the_reason_that_it_carries() -> None:
    """Every way to spoil an event comes along, and every reason of the codec among them."""
    poison = [each for each in traffic().chunk(5_000) if reason_of(each) is not None]
    assert len(poison) > 2 * len(POISONS)
    for record in poison:
        reason = reason_of(record)
        if reason == WRONG_PARTITION:
            user_id = msgspec.json.decode(record.value or b"")["user_id"]
            assert partition_of(user_id, PARTITIONS) != record.partition
            continue
        with pytest.raises(EventError) as refused:
            decode_event(record.value, NOW_MS)
        assert refused.value.reason == reason
    assert {reason_of(each) for each in poison} == {*REJECT_REASONS, WRONG_PARTITION}
