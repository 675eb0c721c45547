"""Records that are no events, among records that are: each goes its way, and harms no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.embedded.child import Child

from .conftest import Measured, Running
from .stream import START_MS, Stream

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

GOOD, ONE_IN = 2_000, 20
DAY_MS = 86_400_000
COMPRESSIONS = ("gzip", "lz4", "zstd", "snappy", "none")

Start = Callable[[Settings], Child]


def changed(**fields: object) -> bytes:
    """Return a whole event with some fields replaced, as JSON."""
    event = {
        "event_id": "poison",
        "type": "click",
        "user_id": "user-poison",
        "item_id": "item-poison",
        "ts_ms": START_MS,
    }
    return msgspec.json.encode(event | fields)


def literal(text: bytes) -> bytes:
    """Return a whole event with one more field whose value is written out."""
    return changed()[:-1] + b"," + text + b"}"


def without(name: str) -> bytes:
    """Return an event that lacks a field."""
    event = msgspec.json.decode(changed())
    del event[name]
    return msgspec.json.encode(event)


POISON: list[tuple[int, bytes | None, str]] = [
    (23, b"", "empty"),
    (24, None, "empty"),
    (25, b"\xff\xfe\x00", "undecodable"),
    (25, literal(b'"session_id":"\xff"'), "undecodable"),
    (26, b'{"event_id": "e', "undecodable"),
    (26, b"}{", "undecodable"),
    (27, b"[1, 2, 3]", "invalid"),
    (27, b'"click"', "invalid"),
    (27, b"null", "invalid"),
    (28, without("user_id"), "invalid"),
    (28, without("event_id"), "invalid"),
    (28, b"{}", "invalid"),
    (29, changed(position="first"), "invalid"),
    (29, changed(user_id=""), "invalid"),
    (29, literal(b'"value":NaN'), "undecodable"),
    (29, literal(b'"value":1e400'), "invalid"),
    (29, literal(b'"position":1180591620717411303424'), "invalid"),
    (30, literal(b'"context":{"deep":' + b"[" * 7_000 + b"]" * 7_000 + b"}"), "undecodable"),
    (30, literal(b'"context":{"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "too_large"),
    (31, literal(b'"context":{"long":"' + b"x" * 900_000 + b'"}'), "too_large"),
    (31, b"[" + b"1," * 8_000 + b"1]", "invalid"),
    (32, changed(type="teleport"), "unknown_type"),
    (34, changed(ts_ms=0), "absurd_time"),
    (34, changed(ts_ms=-1), "absurd_time"),
    (34, changed(ts_ms=START_MS // 1000), "absurd_time"),
    (34, changed(ts_ms=253_402_300_799_000), "absurd_time"),
    (34, changed(ts_ms=2**70), "absurd_time"),
]
"""Row of the catalogue, value, and the reason that its dead letter must name."""


@pytest.mark.fault(
    *sorted({row for row, _, _ in POISON}),
    promise="each becomes a dead letter with its reason; all neighbours count; lag 0",
)
def test_poison_goes_to_the_dead_letters_and_its_neighbours_count(
    running: Running, seed: int, measured: Measured
) -> None:
    """One record in twenty is poison of some kind, anywhere in any partition."""
    stream = running.stream
    rng = np.random.default_rng(seed)
    before = Counter(stream.rejects)
    kinds = [POISON[n % len(POISON)] for n in range(GOOD // ONE_IN)]
    for event_group in np.array_split(np.array(stream.events(GOOD), object), len(kinds)):
        _, value, reason = kinds.pop(int(rng.integers(len(kinds))))
        stream.poison(value, int(rng.integers(stream.partitions)), reason)
        stream.put(event_group)
    stream.catch_up()
    stream.check()
    reasons = Counter(letter["reason"] for letter in stream.dead_letters())
    assert reasons == stream.rejects
    measured(good=GOOD, poison=(stream.rejects - before).total(), kinds=len(POISON))


def test_a_dead_letter_says_where_its_record_stood(running: Running) -> None:
    """Topic, partition, offset and reason stand in the headers."""
    stream = running.stream
    known = {(each["partition"], each["offset"]) for each in stream.dead_letters()}
    stream.poison(b"{bad", 2, "undecodable")
    stream.send(10)
    stream.catch_up()
    (letter,) = [
        each for each in stream.dead_letters() if (each["partition"], each["offset"]) not in known
    ]
    assert letter["topic"] == Topics(stream.settings.namespace).events
    assert letter["reason"] == "undecodable"
    assert stream.logs[2][int(letter["offset"])] is None
    assert letter["detail"]


@pytest.mark.fault(33, promise="fields of a later schema are passed over, and the event counts")
def test_an_event_of_a_later_schema_counts(running: Running) -> None:
    """Whoever sends more than this version knows need not wait for it."""
    stream = running.stream
    for event in stream.events(5):
        later = encode(event)[:-1] + b',"schema":99,"mood":{"of":["tomorrow"]}}'
        stream.produce(later, partition_of(event.user_id, stream.partitions), event)
        stream.count(event, 1)
    stream.catch_up()
    stream.check()


@pytest.mark.fault(35, promise="a wrong partition is a dead letter; the key decides nothing")
def test_a_user_in_a_foreign_partition_is_set_aside(running: Running) -> None:
    """His record lives elsewhere, and only one partition may write it."""
    stream = running.stream
    stray, *good = stream.events(3)
    wrong = (partition_of(stray.user_id, stream.partitions) + 1) % stream.partitions
    stream.poison(encode(stray), wrong, "wrong_partition")
    topic = Topics(stream.settings.namespace).events
    for event, key in zip(good, (None, b"somebody else"), strict=True):
        partition = partition_of(event.user_id, stream.partitions)
        stream.producer.send(topic, partition, encode(event), key=key)
        stream.logs[partition].append(event)
        stream.count(event, 1)
    stream.catch_up()
    stream.check()
    assert Counter(each["reason"] for each in stream.dead_letters()) == stream.rejects


@pytest.mark.kafka
@pytest.mark.fault(36, promise="every compression is read; nothing lost, nothing counted twice")
def test_batches_are_read_in_every_compression(
    kafka_stream: Stream, worker: Start, measured: Measured
) -> None:
    """As producers of others send them, through a topic that keeps what it is given."""
    stream = kafka_stream
    topic = Topics(stream.settings.namespace).events
    _keep_compression(stream.settings.kafka_bootstrap, topic)
    worker(stream.settings)
    for compression in COMPRESSIONS:
        producer = Producer(
            {
                "bootstrap.servers": stream.settings.kafka_bootstrap,
                "compression.type": compression,
                "linger.ms": 200,
                "log_level": 0,
            }
        )
        for event in stream.events(200):
            _send_as_others_do(stream, producer, topic, event)
        assert producer.flush(10) == 0
    stream.catch_up()
    stream.check()
    measured(compressions=", ".join(COMPRESSIONS), counted=stream.applied(), sent=stream.sent)


def _send_as_others_do(stream: Stream, producer: Producer, topic: str, event: Event) -> None:
    partition = partition_of(event.user_id, stream.partitions)
    producer.produce(topic, encode(event), key=event.user_id.encode(), partition=partition)
    stream.logs[partition].append(event)
    stream.count(event, 1)


def _keep_compression(bootstrap: str, topic: str) -> None:
    """Make the broker keep batches as their producer compressed them."""
    entry = ConfigEntry("compression.type", "producer", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
