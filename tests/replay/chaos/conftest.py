"""The logs of a chaos run without one: traffic in memory, and what the folds make of it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest

from freshet.core.events.producer import Record
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from replay.chaos import traffic as module
from replay.chaos.audit.logs import Logged, Logs, TopicRecords
from replay.chaos.audit.refold import Refolded
from replay.chaos.vectors import live_chaos_vectors

NOW_MS = 1_700_000_000_000
LOG_MS = NOW_MS + 400_000  # when the logs took everything: behind all events
STEP_MS = 20  # of the clock, each time that it is read
PARTITIONS = 3
SETTINGS = Settings(namespace="chaos", partitions=PARTITIONS, join_window_s=10)
TOPICS = Topics(SETTINGS.namespace)
N_RECORDS = 4_000


def appended(records: Iterable[Record], topic: str) -> TopicRecords:
    """Return a topic as it is when records were appended to it, in their order."""
    found: defaultdict[int, list[Logged]] = defaultdict(list)
    for record in records:
        if record.topic == topic:
            log = found[record.partition]
            headers = dict(record.headers)
            log.append(Logged(len(log), record.key, record.value, LOG_MS, headers))
    partitions = [found[partition] for partition in range(PARTITIONS)]
    return TopicRecords(partitions, np.array(list(map(len, partitions)), np.int64))


def logs_of(records: list[Record]) -> Logs:
    """Return the logs that records make, with what the folds produce from them."""
    topics = (TOPICS.events, TOPICS.catalog, TOPICS.slates, TOPICS.examples)
    logs = Logs(*(appended(records, topic) for topic in topics))
    outcomes = Refolded(logs, SETTINGS, PARTITIONS).produced[TOPICS.slates]
    logs = logs._replace(slates=appended([*records, *outcomes], TOPICS.slates))
    examples = Refolded(logs, SETTINGS, PARTITIONS).produced[TOPICS.examples]
    return logs._replace(examples=appended(examples, TOPICS.examples))


@pytest.fixture(scope="session")
def traffic_records() -> list[Record]:
    """What some thousand draws of the traffic send, whole catalogue and burst among it."""
    times = itertools.count(NOW_MS, STEP_MS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "USERS", 20)  # few, so that they have a past
        patch.setattr(module, "BURST", 300)
        patch.setattr(module, "ERASURES", 0.002)
        traffic = module.Traffic(np.random.default_rng(5), TOPICS, PARTITIONS, lambda: next(times))
        return [
            *traffic.opening(),
            *traffic.chunk(N_RECORDS // 2),
            *traffic.burst(),
            *traffic.chunk(N_RECORDS // 2),
        ]


@pytest.fixture(scope="session")
def logs(traffic_records: list[Record]) -> Logs:
    """The logs of that traffic, with outcomes and examples."""
    return logs_of(traffic_records)


@pytest.fixture(scope="session")
def settings_of_logs() -> Settings:
    """What the logs were made with."""
    return SETTINGS


@pytest.fixture(scope="session")
def workers_made(logs: Logs) -> Refolded:
    """What workers without a fault make of the logs, in large batches."""
    return Refolded(logs, SETTINGS, PARTITIONS, live_chaos_vectors(), batch_events=5_000)
