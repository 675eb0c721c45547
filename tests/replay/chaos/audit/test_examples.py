"""Examples and outcomes: one that is missing, doubled or other is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from freshet.core.events.examples import decode_example, encode_example
from freshet.core.events.producer import Record
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from replay.chaos.audit.examples import wrong_examples, wrong_outcomes, wrong_responses
from replay.chaos.audit.logs import Logged, Logs, TopicRecords
from replay.chaos.audit.refold import Refolded
from replay.chaos.log_truth import read_log

TOPICS = Topics("chaos")

Edit = Callable[[list[Logged]], list[Logged]]


def edited(topic: TopicRecords, edit: Edit) -> TopicRecords:
    """Return a topic whose first partition with records is another one."""
    at = next(at for at, records in enumerate(topic.records) if records)
    records = [list(each) for each in topic.records]
    records[at] = edit(records[at])
    return topic._replace(records=records)


def changed(record: Logged, **fields: Any) -> Logged:
    example = msgspec.structs.replace(decode_example(record.value), **fields)
    return record._replace(value=encode_example(example))


@pytest.fixture(scope="session")
def examples(workers_made: Refolded) -> list[Record]:
    """What a twin of the joiner made."""
    return workers_made.produced[TOPICS.examples]


def test_the_examples_of_the_log_are_those_of_the_twin(logs: Logs, examples: list[Record]) -> None:
    """Also when they stand there twice."""
    assert len(examples) > 5
    assert wrong_examples(logs.examples, examples) == []
    assert wrong_examples(edited(logs.examples, lambda found: found + found), examples) == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda found: found[1:],
        lambda found: [*found, changed(found[0], request_id="r2", place=99)],
        lambda found: [*found, changed(found[0], dwell_s=b"")],
        lambda found: [changed(found[0], responses=b""), *found[1:]],
    ],
    ids=["missing", "too many", "two of a name", "other"],
)
def test_an_example_that_is_wrong_is_named(logs: Logs, examples: list[Record], edit: Edit) -> None:
    """By its name."""
    assert len(wrong_examples(edited(logs.examples, edit), examples)) == 1


def test_an_answer_with_two_names_is_seen(logs: Logs, examples: list[Record]) -> None:
    """It would be learned from twice."""
    both = edited(logs.examples, lambda found: [*found, changed(found[0], place=99)])
    assert len(wrong_examples(both, examples)) == 2  # the name, and the answer


def test_the_outcomes_of_the_log_are_those_of_the_twin(logs: Logs, workers_made: Refolded) -> None:
    """One that was not reported is seen, one that was reported twice is one."""
    expected = workers_made.produced[TOPICS.slates]
    assert wrong_outcomes(logs.slates, expected) == []
    assert wrong_outcomes(edited(logs.slates, lambda found: found + found), expected) == []
    assert wrong_outcomes(edited(logs.slates, lambda found: found[:-1]), expected)


def responses(logs: Logs, settings: Settings, examples: TopicRecords) -> list[str]:
    truth = read_log(logs.events, settings)
    return wrong_responses(
        logs.slates, examples, truth.responses, truth.newest_ms.tolist(), truth.erased_ms,
        settings.join_window_s,
    )  # fmt: skip


def test_examples_say_what_the_events_of_the_log_say(
    logs: Logs, settings_of_logs: Settings
) -> None:
    """Of each answer whose wait is over; one without its example or with others is named."""
    assert responses(logs, settings_of_logs, logs.examples) == []
    missing = edited(logs.examples, lambda found: found[1:])
    (name,) = responses(logs, settings_of_logs, missing)
    assert name.endswith("no example")
    none = edited(
        logs.examples,
        lambda found: [
            changed(found[0], responses=bytes(len(decode_example(found[0].value).responses))),
            *found[1:],
        ],
    )
    assert len(responses(logs, settings_of_logs, none)) == 1
