"""The past of an installation as a trainer reads it: what the folds would not count is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.control import Erasure, Heartbeat, encode_control
from freshet.core.events.kept_log import (
    ERASED,
    REPEATED,
    STRAY,
    UNREADABLE,
    KeptEvents,
    KeptItems,
    KeptLog,
    read_kept_log,
)
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import MAX_FUTURE_MS, Event, Item
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

NOW_MS = 1_763_800_000_000
PARTITIONS = 4
USERS = [f"user-{n}" for n in range(40) if partition_of(f"user-{n}", PARTITIONS) == 1]
STRANGER = next(f"user-{n}" for n in range(40) if partition_of(f"user-{n}", PARTITIONS) != 1)
ANN, BOB = USERS[:2]


def click(name: object, user: str = ANN, ts_ms: int = NOW_MS) -> bytes:
    return encode(Event(event_id=f"e{name}", type="click", user_id=user, item_id="i", ts_ms=ts_ms))


def erasure(user: str = ANN, ts_ms: int = NOW_MS) -> bytes:
    return encode_control(Erasure(erase=user, ts_ms=ts_ms))


def kept(*raws: bytes | None) -> tuple[list[str], dict[str, int]]:
    """The ids of the events that are left, and how many records were left out."""
    events = KeptEvents(1, PARTITIONS)
    for raw in raws:
        events.take(raw, NOW_MS)
    found = [event.event_id for event in events.finish()]
    return found, dict(events.left_out)


def test_nothing_is_nothing() -> None:
    """Nor is a heartbeat anything."""
    assert kept() == ([], {})
    assert kept(encode_control(Heartbeat(NOW_MS))) == ([], {})


def test_poison_harms_no_neighbour() -> None:
    """It is counted; so is a broken control record, and an event that stands elsewhere."""
    poison = [None, b"", b"{", b'{"erase":1}', b'{"heartbeat":"x"}', b"\xff"]
    found, left_out = kept(click(1), *poison, click(2, STRANGER), click(3))
    assert found == ["e1", "e3"]
    assert left_out == {UNREADABLE: len(poison), STRAY: 1}


def test_an_erased_person_is_left_out() -> None:
    """What stands before the erasure, whatever its time, and what is older, whenever it comes."""
    later, sooner = NOW_MS + 1, NOW_MS - 1
    found, left_out = kept(
        click(1), click(2, ts_ms=later), click(3, BOB), erasure(),
        click(4, ts_ms=sooner), click(5), click(6, ts_ms=later), click(7, BOB, sooner),
    )  # fmt: skip
    assert found == ["e3", "e6", "e7"]
    assert left_out == {ERASED: 4}


def test_an_erasure_takes_back_no_other() -> None:
    """The later time holds, wherever it stands."""
    found, _ = kept(erasure(), erasure(ts_ms=NOW_MS - 100), click(1, ts_ms=NOW_MS - 50))
    assert found == []


def test_a_clock_far_ahead_is_not_believed() -> None:
    """Neither of an event nor of an erasure: then it is the log's time."""
    ahead = NOW_MS + MAX_FUTURE_MS + 2
    events = KeptEvents(1, PARTITIONS)
    events.take(erasure(ts_ms=ahead), NOW_MS)
    events.take(click(1, ts_ms=ahead), NOW_MS + 1)
    assert [event.ts_ms for event in events.finish()] == [NOW_MS + 1]


def test_what_comes_twice_counts_once() -> None:
    """By the person and the id."""
    assert kept(click(1), click(2), click(1), click(1, BOB)) == (["e1", "e2", "e1"], {REPEATED: 1})


def test_what_was_sent_before_an_erasure_is_not_learned_from_a_copy() -> None:
    """Also where its clock was ahead, so that its time is later than that of the erasure."""
    ahead = click(1, ts_ms=NOW_MS + 240_000)
    assert kept(ahead, erasure(), ahead, click(2, ts_ms=NOW_MS + 1)) == (
        ["e2"], {ERASED: 1, REPEATED: 1},
    )  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from([ANN, BOB]),
            st.integers(0, 4),
            st.integers(NOW_MS - 3, NOW_MS + 3),
        ),
        max_size=12,
    )
)
def test_it_is_what_forgetting_one_after_the_other_leaves(
    records: list[tuple[bool, str, int, int]],
) -> None:
    """The slow way: at each erasure, all of the person goes; that and what is older stays out."""
    expected: list[tuple[str, int, int]] = []
    sent: set[tuple[str, int]] = set()
    gone: set[tuple[str, int]] = set()
    until_ms: dict[str, int] = {}
    events = KeptEvents(1, PARTITIONS)
    for erases, user, name, ts_ms in records:
        if erases:
            events.take(erasure(user, ts_ms), NOW_MS)
            until_ms[user] = max(until_ms.get(user, 0), ts_ms)
            expected = [each for each in expected if each[0] != user]
            gone |= {each for each in sent if each[0] == user}
        else:
            events.take(click(name, user, ts_ms), NOW_MS)
            sent.add((user, name))
            if (user, name) not in gone:
                expected.append((user, name, ts_ms))
        expected = [each for each in expected if each[2] > until_ms.get(each[0], 0)]
    first = {(user, name): ts_ms for user, name, ts_ms in reversed(expected)}
    found = [(each.user_id, int(each.event_id[1:]), each.ts_ms) for each in events.finish()]
    assert sorted(found) == sorted((*key, ts_ms) for key, ts_ms in first.items())


def test_the_catalogue_is_what_was_put_last() -> None:
    """Deleted is gone; a record that cannot be used changes nothing."""
    own = [f"item-{n}" for n in range(40) if partition_of(f"item-{n}", PARTITIONS) == 1][:3]
    stranger = next(f"item-{n}" for n in range(40) if partition_of(f"item-{n}", PARTITIONS) != 1)
    items = KeptItems(1, PARTITIONS)
    for item_id, title in [(own[0], "old"), (own[0], "new"), (own[1], ""), (stranger, "")]:
        items.take(item_id.encode(), encode(Item(item_id=item_id, title=title)))
    items.take(own[1].encode(), None)
    items.take(own[2].encode(), None)
    items.take(own[0].encode(), b"{")
    items.take(own[0].encode(), encode(Item(item_id="another")))
    items.take(None, encode(Item(item_id=own[0])))
    assert items.finish() == [Item(item_id=own[0], title="new")]
    assert items.left_out == {UNREADABLE: 3, STRAY: 1}


@pytest.fixture
def producer(settings: Settings) -> Iterator[EventProducer]:
    """A way to the broker."""
    with closing(EventProducer(settings.kafka_bootstrap)) as producer:
        yield producer


@pytest.mark.services
def test_the_log_of_an_installation(settings: Settings, producer: EventProducer) -> None:
    """All partitions, as they are when reading begins, again and again."""
    partitions = discover_partitions(settings)
    topics = Topics(settings.namespace)
    users = [f"user-{n}" for n in range(12)]
    items = [Item(item_id=f"item-{n}") for n in range(5)]
    for item in items:
        where = partition_of(item.item_id, partitions)
        producer.send(topics.catalog, where, encode(item), key=item.item_id.encode())
    for user in users:
        where = partition_of(user, partitions)
        producer.send(topics.events, where, click(user, user))
        producer.send(topics.events, where, encode_control(Heartbeat(NOW_MS)))
    producer.send(topics.events, 0, b"poison")
    producer.send(topics.events, partition_of(users[0], partitions), erasure(users[0]))
    producer.flush()
    told: list[float] = []
    for _ in range(2):
        log = read_kept_log(settings, told.append)
        assert sorted(event.user_id for event in log.events) == sorted(users[1:])
        assert sorted(log.items, key=lambda item: item.item_id) == items
        assert log.left_out == {UNREADABLE: 1, ERASED: 1}
    assert told == [1.0, 1.0]


def test_no_broker_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the address, and what to do."""
    monkeypatch.setattr("freshet.core.events.cluster._REQUEST_S", 0.2)
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:1 does not answer.*freshet up"):
        read_kept_log(Settings(kafka_bootstrap="127.0.0.1:1"))


def test_what_was_left_out_is_said() -> None:
    """And is not where nothing was."""
    assert KeptLog([], [], KeptEvents(0, 1).left_out).describe() == "Kafka has 0 events and 0 items"
