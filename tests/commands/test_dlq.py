"""The dead letters of a running installation: listed, shown, sent again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from freshet.commands.main import cli
from freshet.core.errors import FreshetError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.dead_letter import DeadLetter, Origin
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings, environment_of
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child

pytestmark = pytest.mark.services

CLICK = Event(event_id="e1", type="click", user_id="alice", item_id="i1", ts_ms=1_700_000_000_000)
ESCAPE = b"\x1b[31mred"


@pytest.fixture
def producer(settings: Settings) -> Iterator[EventProducer]:
    """A way to the broker, whose topics are there."""
    discover_partitions(settings)
    producer = EventProducer(settings.kafka_bootstrap)
    yield producer
    producer.close()


def freshet(settings: Settings, *arguments: str) -> Result:
    """Run `freshet dlq ...` for an installation."""
    environment = {name: None for name in os.environ if name.startswith("FRESHET_")}
    return CliRunner(env=environment | environment_of(settings) | {"COLUMNS": "120"}).invoke(
        cli, ["dlq", *arguments]
    )


def listed(settings: Settings, *arguments: str) -> dict:
    """What `freshet dlq ls --json` finds."""
    return json.loads(freshet(settings, "ls", "--json", *arguments).stdout)


def write(producer: EventProducer, settings: Settings, *letters: DeadLetter) -> None:
    """Put letters on their topic."""
    for letter in letters:
        producer.send_record(letter.record(Topics(settings.namespace).dead_letters))
    producer.flush()


def test_no_letters_are_a_sentence(settings: Settings, producer: EventProducer) -> None:
    """And an empty list for a machine."""
    assert freshet(settings, "ls").stdout == "no dead letters\n"
    assert listed(settings) == {"letters": 0, "by_reason": {}, "strange": 0, "listed": []}
    assert freshet(settings, "replay").stdout == "sent 0 again\n"


def test_letters_are_counted_by_reason_once_each(
    settings: Settings, producer: EventProducer
) -> None:
    """Chosen by reason and age; the table shows the newest and says what it leaves out."""
    bad = [DeadLetter(Origin("t", 1, n), "invalid", "[no]", None, b"{") for n in range(3)]
    late = DeadLetter(Origin("t", 2, 9), "absurd_time", "", None, b"{")
    write(producer, settings, *bad, late, bad[0])
    found = listed(settings)
    assert found["by_reason"] == {"invalid": 3, "absurd_time": 1}
    assert {row["place"] for row in found["listed"]} == {"t-1-0", "t-1-1", "t-1-2", "t-2-9"}
    assert listed(settings, "--reason", "absurd_time", "--since", "1h")["letters"] == 1
    assert listed(settings, "--since", "0s")["letters"] == 0
    shown = freshet(settings, "ls", "--limit", "1").stdout
    assert "and 3 older" in shown
    assert freshet(settings, "ls", "--since", "soon").exit_code == 2


def test_what_is_dismissed_waits_no_longer(settings: Settings, producer: EventProducer) -> None:
    """Only what was chosen, and nothing is sent anywhere."""
    bad = [DeadLetter(Origin("t", 1, n), "invalid", "[no]", None, b"{") for n in range(3)]
    late = DeadLetter(Origin("t", 2, 9), "absurd_time", "", None, b"{")
    write(producer, settings, *bad, late)
    assert freshet(settings, "dismiss", "--reason", "invalid").stdout == "dismissed 3: invalid 3\n"
    assert {row["reason"]: row["replayed"] for row in listed(settings)["listed"]} == {
        "invalid": True,
        "absurd_time": False,
    }
    assert freshet(settings, "dismiss", "--reason", "invalid").stdout == "dismissed 0\n"


def test_a_letter_is_shown_whole_and_cannot_steer_the_terminal(
    settings: Settings, producer: EventProducer
) -> None:
    """Headers, key and value; a place without a letter is an error."""
    write(producer, settings, DeadLetter(Origin("t", 1, 7), "invalid", "why", b"\xff", ESCAPE))
    shown = freshet(settings, "show", "t-1-7").stdout
    assert "why" in shown
    assert "\\xff" in shown
    assert "\\x1b[31mred" in shown
    assert "\x1b" not in shown
    for place in ("t-1-8", "t-99-7"):
        assert isinstance(freshet(settings, "show", place).exception, FreshetError)
    assert freshet(settings, "show", "t-1").exit_code == 2


def test_a_stray_event_is_sent_to_its_own_partition_and_counts_once(
    settings: Settings,
    producer: EventProducer,
    worker: Callable[[Settings], Child],
    wait_until: Callable[..., None],
    tmp_path: Path,
) -> None:
    """As after a producer with another partitioner; what fails again is a letter of its own."""
    topics = Topics(settings.namespace)
    owner = partition_of("alice", settings.partitions)
    stray = (owner + 1) % settings.partitions
    worker(settings)
    producer.send(topics.events, stray, encode(CLICK), key=b"alice")
    producer.send(topics.events, owner, b"{bad", key=b"alice")
    producer.flush()
    wait_until(lambda: listed(settings)["letters"] == 2, 60, "both are letters")
    replayed = freshet(settings, "replay")
    assert replayed.exit_code == 0
    assert replayed.stdout == "sent 2 again: undecodable 1, wrong_partition 1\n"
    wait_until(lambda: listed(settings)["letters"] == 3, 60, "one is a letter again")
    client = connect(settings.redis_url)
    reader = StateReader(client, settings.namespace, settings.partitions)
    wait_until(lambda: reader.user("alice") is not None, 30, "the other one counts")
    assert [
        row["replayed"] for row in listed(settings, "--reason", "wrong_partition")["listed"]
    ] == [True]
    again = freshet(settings, "replay", "--reason", "wrong_partition")
    assert again.stdout == "sent 0 again\n"
    user = reader.user("alice")
    assert user is not None
    assert user["type_counts"].sum() == 1


def test_a_letter_that_cannot_be_sent_is_exit_code_1(
    settings: Settings, producer: EventProducer
) -> None:
    """With a sentence for it; the others are sent."""
    events = Topics(settings.namespace).events
    whole = DeadLetter(Origin(events, 0, 1), "invalid", "", b"k", b"{}")
    cut = DeadLetter(Origin(events, 0, 2), "too_large", "", b"k", b"x", {"value": 70_000})
    write(producer, settings, whole, cut)
    dry = freshet(settings, "replay", "--dry-run")
    assert "would send 1 again: invalid 1" in dry.stdout
    done = freshet(settings, "replay")
    assert done.exit_code == 1
    assert done.stdout == "sent 1 again: invalid 1\n"
    assert f"refused {events}-0-2: its value had 70,000 bytes" in done.stderr
