"""The traffic: what a reader of its records would find."""

from itertools import groupby

import msgspec
import numpy as np
import pytest

from freshet.core.errors import EventError
from freshet.core.events.codec import REJECT_REASONS, decode_event
from freshet.core.events.control import ERASURE_PREFIX, decode_erasure
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.events.schema import Event, Slate
from freshet.core.events.topics import Topics
from replay.chaos.traffic import BULK, BURST, EVENT_PREFIX, POISON_HEADER, POISONS, Traffic
from replay.chaos.vectors import ITEMS
from streams.deduplication import FLOOR
from streams.partition_events import WRONG_PARTITION

NOW_MS = 1_700_000_000_000
PARTITIONS = 4


TOPICS = Topics("t")


def traffic(seed: int = 1) -> Traffic:
    return Traffic(np.random.default_rng(seed), TOPICS, PARTITIONS, lambda: NOW_MS)


def reason_of(record: Record) -> str | None:
    """The reason that a poison record carries, None when it is an event."""
    return dict(record.headers).get(POISON_HEADER, b"").decode() or None


def of_events(records: list[Record]) -> list[Record]:
    """The records of the events topic that are no erasures."""
    return [
        each
        for each in records
        if each.topic == TOPICS.events and not (each.value or b"").startswith(ERASURE_PREFIX)
    ]


def events_of(records: list[Record]) -> list[Event]:
    """The events among the records, decoded, with their copies."""
    return [
        decode_event(each.value, NOW_MS) for each in of_events(records) if reason_of(each) is None
    ]


def test_nothing_asked_for_is_nothing_sent() -> None:
    """And no event is counted."""
    empty = traffic()
    assert empty.chunk(0) == []
    assert empty.events == 0


def test_the_same_seed_sends_the_same() -> None:
    """Byte for byte."""
    first, again, other = traffic(3).chunk(500), traffic(3).chunk(500), traffic(4).chunk(500)
    assert first == again
    assert first != other


def test_the_ids_of_events_are_numbered_without_a_gap() -> None:
    """So that one that is missing from the log is known."""
    sent = traffic()
    records = sent.chunk(2_000) + sent.burst() + sent.chunk(2_000)
    found = {event.event_id for event in events_of(records)}
    assert found == {f"{EVENT_PREFIX}{number}" for number in range(sent.events)}


def test_a_burst_is_of_newcomers_in_one_partition() -> None:
    """Each with one event, on an item of its own; and more than a command of Redis takes."""
    sent = traffic()
    events = events_of(first := sent.burst())
    assert len(first) == BURST > 4_000
    assert len({record.partition for record in first}) == 1
    assert len({event.user_id for event in events}) == len({event.item_id for event in events})
    again = events_of(sent.burst())
    assert not {event.user_id for event in events} & {event.user_id for event in again}


def test_who_leaves_is_erased_and_acts_no_more() -> None:
    """Though what they did may come again; others go on after it."""
    records = traffic().chunk(40_000)
    erased: dict[str, int] = {}
    seen: set[str] = set()
    for record in records:
        value = record.value or b""
        if value.startswith(ERASURE_PREFIX):
            wish = decode_erasure(value)
            erased[wish.erase] = wish.ts_ms
            assert record.partition == partition_of(wish.erase, PARTITIONS)
        elif record.topic == TOPICS.events and reason_of(record) is None:
            event = decode_event(value, NOW_MS)
            if event.user_id in erased and event.user_id.startswith("leaver"):
                assert event.event_id in seen
                assert event.ts_ms <= erased[event.user_id]
            seen.add(event.event_id)
    assert {name.partition("-")[0] for name in erased} == {"leaver", "user"}


def test_answers_wait_for_events_that_name_them() -> None:
    """Which come behind their answer, and are of its user and of its items."""
    records = traffic().chunk(10_000)
    answers = {
        (slate := msgspec.json.decode(record.value or b"", type=Slate)).request_id: slate
        for record in records
        if record.topic == TOPICS.slates
    }
    named = [event for event in events_of(records) if event.request_id]
    assert len(answers) > 50
    assert len(named) > 50
    for event in named:
        slate = answers[event.request_id or ""]
        assert event.user_id == slate.user_id
        assert event.item_id in {slot.item_id for slot in slate.slots}
        assert event.ts_ms == slate.ts_ms


def test_the_catalogue_changes_and_begins_whole() -> None:
    """Some entries are deleted, and put again."""
    sent = traffic()
    assert len({record.key for record in sent.opening()}) == ITEMS
    changes = [each for each in sent.chunk(20_000) if each.topic == TOPICS.catalog]
    deleted = sum(record.value is None for record in changes)
    assert 0 < deleted < len(changes) / 2


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
    records = [each for each in of_events(traffic().chunk(1_000)) if reason_of(each) is None]
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
