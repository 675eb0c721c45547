"""The log of answers: what is sent, and what happens when it cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.topics import Topics
from freshet.core.metrics import RECORDS_LOGGED
from serving.answer import Query
from serving.answer_log import AnswerLog
from serving.assembly import Served
from serving.pipeline import recommend

TOPICS = Topics("test")


@pytest.fixture
async def served(state: Any) -> Served:
    """An answer of four slots."""
    return await recommend(state, Query(user="ann", k=4), "r1", np.random.default_rng(0))


def logged(result: str) -> float:
    return float(RECORDS_LOGGED.labels(result)._value.get())


async def test_impressions_are_events_of_the_answer(served: Served, producer: Any) -> None:
    """Named by request and position, so that a repeated send counts once."""
    log = AnswerLog(producer, TOPICS, 4, lambda: 1_763_800_000_000)
    log.impressions(served.answer)
    log.impressions(served.answer)
    events = producer.values(TOPICS.events)
    assert events[:4] == events[4:]
    assert [event["position"] for event in events[:4]] == [0, 1, 2, 3]


async def test_what_cannot_be_queued_is_dropped_and_counted(
    served: Served, producer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing is acknowledged the log stays bounded, and goes on afterwards."""
    settle: list[Any] = []
    send = producer.send

    def keep(*args: Any, on_delivery: Any, **options: Any) -> None:
        settle.append(on_delivery)
        send(*args, **options)

    monkeypatch.setattr(producer, "send", keep)
    log = AnswerLog(producer, TOPICS, 4, lambda: 1_763_800_000_000, max_bytes=200)
    before = logged("dropped")
    log.impressions(served.answer)
    assert len(producer.sent) == 2
    assert logged("dropped") == before + 2
    settle[0](None, None)
    log.slate(served)
    assert len(producer.sent) == 3


async def test_a_refused_record_fails_no_answer(
    served: Served, producer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted."""

    def refuse(*_: Any, **__: Any) -> None:
        raise ServiceError("kafka", "too large")

    monkeypatch.setattr(producer, "send", refuse)
    before = logged("failed")
    AnswerLog(producer, TOPICS, 4, lambda: 1_763_800_000_000).slate(served)
    assert logged("failed") == before + 1
