"""The answers of the log and what was done with them, against the topic of examples.

Examples are promised at least once under a name that stays, so records of one name count once and
must be the same. What an example says of its slots is compared with a twin of the folds, and with
the events of the log themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from freshet.core.events.examples import OUTCOME_DTYPE, Example, decode_example
from freshet.core.events.producer import Record
from replay.chaos.audit.logs import TopicRecords
from streams.outcomes import TIMES_TOLD, Outcomes, decode_outcomes

Name = tuple[int, tuple[int, int]]
"""Of an example: its partition, and its name there."""


class Response(NamedTuple):
    """An event that names an answer, and that counts.

    Attributes:
        kind: code of the type that it counts as.
    """

    item: str
    kind: int
    ts_ms: int


Responses = Mapping[str, Sequence[Response]]
"""By the request id of the answer."""

_WAITED: Final = "waited for no longer, and is no example"


def wrong_examples(found: TopicRecords, expected: Iterable[Record]) -> list[str]:
    """Return the examples that are missing, too many, or not the same each time.

    Args:
        found: the topic of examples.
        expected: what a twin of the joiner made of the same log.
    """
    wanted = {}
    for made in expected:
        example = decode_example(made.value)
        wanted[made.partition, example.name] = example
    here: dict[Name, Example] = {}
    wrong = set()
    for partition, records in enumerate(found.records):
        for record in records:
            example = decode_example(record.value)
            name = partition, example.name
            if here.setdefault(name, example) != example:
                wrong.add(name)
    wrong |= {name for name in {*here, *wanted} if here.get(name) != wanted.get(name)}
    names_of: defaultdict[str, set[Name]] = defaultdict(set)
    for name, example in here.items():
        names_of[example.request_id].add(name)
    twice = [request_id for request_id, names in names_of.items() if len(names) > 1]
    return [*map(str, sorted(wrong)), *sorted(twice)]


def wrong_outcomes(slates: TopicRecords, expected: Iterable[Record]) -> list[str]:
    """Return the outcomes that the users' folds reported wrongly: none, too many, or others.

    Args:
        slates: the topic; an outcome that stands there twice is one.
        expected: what a twin of the user fold produced of the same log.
    """
    here = _reported(
        (partition, record.value)
        for partition, records in enumerate(slates.records)
        for record in records
    )
    there = _reported((record.partition, record.value) for record in expected)
    return sorted(map(str, here ^ there))


def wrong_responses(
    slates: TopicRecords,
    examples: TopicRecords,
    responses: Responses,
    newest_ms: Sequence[int],
    erased: Iterable[str],
    window_s: int,
) -> list[str]:
    """Return the answers whose examples say something else than the events of the log.

    Args:
        slates: the topic, answers among its records.
        examples: the topic.
        responses: events that count, of each answer.
        newest_ms: (partitions,) how far the time of the events has come.
        erased: users who were erased at some time; their answers may teach nothing.
        window_s: how long an answer waits.
    """
    window_ms = 1000 * window_s
    step_ms = max(window_ms // TIMES_TOLD, 1)
    found = {
        example.request_id: example
        for records in examples.records
        for example in (decode_example(record.value) for record in records)
    }
    gone = set(erased)
    wrong = []
    for partition, records in enumerate(slates.records):
        due_ms = newest_ms[partition] - newest_ms[partition] % step_ms - window_ms
        for slate in _answers(records):
            request_id = slate["request_id"]
            expected = _bits(slate, responses.get(request_id, ()), window_ms)
            example = found.get(request_id)
            if example is None:
                if any(expected) and slate["ts_ms"] <= due_ms and slate["user_id"] not in gone:
                    wrong.append(f"{request_id} is {_WAITED}")
            elif example.column("responses").tolist() != expected:
                wrong.append(request_id)
    return sorted(set(wrong))


def _bits(slate: Mapping[str, Any], responses: Sequence[Response], window_ms: int) -> list[int]:
    """Return the types of the events on each slot, as bits."""
    bits = {slot["item_id"]: 0 for slot in slate["slots"]}
    for each in responses:
        if each.item in bits and each.ts_ms <= slate["ts_ms"] + window_ms:
            bits[each.item] |= 1 << each.kind
    return [bits[slot["item_id"]] for slot in slate["slots"]]


def _answers(records: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for record in records:
        if record.value is not None and record.value.startswith(b"{"):
            yield msgspec.json.decode(record.value)


def _reported(values: Iterable[tuple[int, bytes | None]]) -> set[tuple[Any, ...]]:
    """Return what outcome records report: rows, erased users, and the time of each partition."""
    found: set[tuple[Any, ...]] = set()
    newest_ms: defaultdict[int, int] = defaultdict(int)
    for partition, value in values:
        if value is None or value.startswith(b"{"):
            continue
        outcomes: Outcomes = decode_outcomes(value)
        newest_ms[partition] = max(newest_ms[partition], outcomes.now_ms)
        found |= {(partition, "erased", user_id) for user_id in outcomes.erased}
        for request_id, packed in zip(outcomes.request_ids, outcomes.rows, strict=True):
            rows = np.frombuffer(packed, OUTCOME_DTYPE)
            found |= {(partition, request_id, *row) for row in rows.tolist()}
    return found | {(partition, "time", now_ms) for partition, now_ms in newest_ms.items()}
