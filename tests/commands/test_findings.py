"""What the doctor thinks of what it finds."""

import pytest

from freshet.commands.findings import (
    judge_lag,
    judge_layout,
    judge_redis,
    judge_send_buffer,
    judge_times,
    judge_topics,
)
from freshet.core.state.records import LAYOUT_VERSION

TOPICS = {"a": {}, "b": {}}
REDIS = {"redis_version": "7.0.15", "aof_enabled": 1, "maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    ("widths", "level", "said"),
    [
        ({}, "warn", "missing: a, b"),
        ({"a": 4}, "warn", "missing: b"),
        ({"a": 4, "b": 8}, "fail", "partitions differ: a 4, b 8"),
        ({"a": 4, "b": 4}, "ok", "2 with 4 partitions each"),
    ],
)
def test_topics(widths: dict[str, int], level: str, said: str) -> None:
    """Missing ones are made by the first worker; different ones are beyond help."""
    (finding,) = judge_topics(TOPICS, widths)
    assert (finding.level, finding.found) == (level, said)
    assert bool(finding.advice) == (level != "ok")


def test_a_good_redis_is_good() -> None:
    """Nothing to do."""
    assert {finding.level for finding in judge_redis(REDIS)} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "level", "advice"),
    [
        ({"redis_version": "6.0.16"}, "fail", "6.2 or newer"),
        ({"redis_version": "10.1"}, None, ""),
        ({"aof_enabled": 0}, "warn", "appendonly"),
        ({"maxmemory_policy": "volatile-lru"}, "fail", "noeviction"),
        ({"used_memory": 9, "maxmemory": 10}, "warn", "maxmemory"),
        ({"used_memory": 1, "maxmemory": 10}, None, ""),
    ],
)
def test_a_redis_with_one_fault(changes: dict, level: str | None, advice: str) -> None:
    """Just that fault is found, with what to do."""
    faults = [finding for finding in judge_redis(REDIS | changes) if finding.level != "ok"]
    assert [finding.level for finding in faults] == ([level] if level else [])
    assert all(advice in finding.advice for finding in faults)


@pytest.mark.parametrize(
    ("granted", "level", "found"),
    [
        (425_984, "warn", "takes 416 KiB at once"),
        (4 << 20, "ok", "takes 4,096 KiB at once"),
        (8 << 20, "ok", "takes 8,192 KiB at once"),
    ],
)
def test_the_socket_of_redis(granted: int, level: str, found: str) -> None:
    """What the kernel holds back costs speed, and one line of sysctl gives it."""
    finding = judge_send_buffer(granted)
    assert (finding.level, finding.found) == (level, found)
    assert ("net.core.wmem_max=4194304" in finding.advice) == (level == "warn")


@pytest.mark.parametrize(
    ("meta", "level"),
    [
        ({}, "warn"),
        ({"layout": str(LAYOUT_VERSION), "partitions": "4"}, "ok"),
        ({"layout": str(LAYOUT_VERSION), "partitions": "8"}, "fail"),
        ({"layout": "0", "partitions": "4"}, "fail"),
    ],
)
def test_the_layout_of_the_state(meta: dict[str, str], level: str) -> None:
    """Layout and partitions must be ours."""
    assert judge_layout(meta, 4).level == level


@pytest.mark.parametrize(
    ("lag", "lost", "moving", "level"),
    [
        ([0, 0], [0, 0], False, "ok"),
        ([5, 0], [0, 0], True, "ok"),
        ([5, 0], [0, 0], False, "fail"),
        ([50_000, 0], [0, 0], True, "warn"),
        ([0, 0], [0, 1], True, "fail"),
    ],
)
def test_lag(lag: list[int], lost: list[int], moving: bool, level: str) -> None:
    """Standing still behind the log is worse than being far behind it."""
    assert judge_lag("users", lag=lag, lost=lost, moving=moving).level == level


def test_a_fold_ahead_of_its_log_fails() -> None:
    """Its lag is 0, and its state is of another log."""
    found = judge_lag("users", lag=[0, 0], lost=[0, 0], ahead=[0, 3], moving=False)
    assert (found.level, "3 records behind the ends" in found.found) == ("fail", True)


NOW = 1_796_000_000_000
DAY = 86_400_000


@pytest.mark.parametrize(
    ("watermarks", "level", "said"),
    [
        ([NOW, 0, NOW - DAY], "ok", ""),
        ([NOW, NOW - 300 * DAY], "warn", "far apart"),
        ([NOW - 300 * DAY, NOW - 301 * DAY], "warn", "all events are old"),
        ([NOW + 300 * DAY, NOW], "warn", "events of the future"),
    ],
)
def test_times_far_from_now_or_from_each_other_are_named(
    watermarks: list[int], level: str, said: str
) -> None:
    """An empty partition has no time."""
    (finding,) = judge_times(watermarks, NOW)
    assert finding.level == level
    assert said in finding.advice


def test_a_namespace_without_events_has_no_times() -> None:
    """Heartbeats have none either."""
    assert judge_times([], NOW) == judge_times([0, 0], NOW) == []
