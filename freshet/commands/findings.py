"""What `freshet doctor` thinks of what it found: pure judgements, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from freshet.core.events.recorded.times import readable
from freshet.core.events.topic_configs import Difference
from freshet.core.state.client import SEND_BUFFER_BYTES
from freshet.core.state.eviction import EVICTION_REMEDY, KEEPS_EVERYTHING
from freshet.core.state.records import LAYOUT_VERSION, REBUILD

Level = Literal["ok", "warn", "fail"]

LEAST_REDIS = (6, 2)
LAG_OF_CONCERN = 10_000  # records
TIMES_APART_MS = 7 * 86_400_000


class Finding(Struct, frozen=True):
    """One line of the diagnosis.

    Attributes:
        what: what was looked at.
        found: what was found.
        advice: what to do, "" when all is well.
    """

    level: Level
    what: str
    found: str
    advice: str = ""


def judge_topics(expected: Mapping[str, object], widths: Mapping[str, int]) -> list[Finding]:
    """Judge the topics of a namespace.

    Args:
        expected: the topics that there should be.
        widths: partitions of each topic that there is.
    """
    missing = [name for name in expected if name not in widths]
    if missing:
        return [
            Finding("warn", "topics", f"missing: {', '.join(missing)}",
                    "the first `freshet worker` or `freshet serve` creates them")
        ]  # fmt: skip
    different = {widths[name] for name in expected}
    listed = ", ".join(f"{name} {widths[name]}" for name in expected)
    if len(different) > 1:
        return [
            Finding("fail", "topics", f"partitions differ: {listed}",
                    "all topics of a namespace need the same number; create them anew under "
                    "another FRESHET_NAMESPACE")
        ]  # fmt: skip
    return [Finding("ok", "topics", f"{len(expected)} with {different.pop()} partitions each")]


def judge_width(width: int, wanted: int, default: int) -> list[Finding]:
    """Judge how many partitions the topics have.

    Args:
        width: partitions of each topic.
        wanted: what the setting says.
        default: what it says where nobody set it.
    """
    if width == wanted:
        return []
    return [
        Finding("warn" if wanted == default else "fail", "partitions",
                f"the topics have {width}, FRESHET_PARTITIONS is {wanted}",
                f"set FRESHET_PARTITIONS={width}, or let `freshet worker` create topics under "
                "another FRESHET_NAMESPACE; topics with 1 are often made by a broker with "
                "auto.create.topics.enable")
    ]  # fmt: skip


def judge_configs(rows: Sequence[Difference]) -> list[Finding]:
    """Judge how the topics are kept, by what differs from what is meant."""
    return [
        Finding("fail" if row.harmful else "warn", "topic", str(row), f"`{row.remedy}`")
        for row in rows
    ]


def judge_redis(info: Mapping[str, Any]) -> list[Finding]:
    """Judge a Redis server by its INFO."""
    version = str(info["redis_version"])
    numbers = tuple(int(part) for part in version.split(".")[:2])
    findings = [
        Finding("ok", "redis version", version)
        if numbers >= LEAST_REDIS
        else Finding("fail", "redis version", version, "Redis 6.2 or newer is needed")
    ]
    if info.get("aof_enabled"):
        findings.append(Finding("ok", "redis persistence", "append-only file"))
    else:
        findings.append(
            Finding("warn", "redis persistence", "no append-only file",
                    "after a restart of Redis the workers rebuild the state from what Kafka still "
                    "has; set appendonly yes to keep it")
        )  # fmt: skip
    policy = str(info.get("maxmemory_policy", KEEPS_EVERYTHING))
    findings.append(
        Finding("ok", "redis maxmemory-policy", policy)
        if policy == KEEPS_EVERYTHING
        else Finding("fail", "redis maxmemory-policy", policy,
                     f"expected {KEEPS_EVERYTHING}: Redis may drop state that was counted; "
                     f"{EVICTION_REMEDY}")
    )  # fmt: skip
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most:
        level: Level = "warn" if used > 0.8 * most else "ok"
        advice = "raise maxmemory: when it is full, workers stop" if level == "warn" else ""
        findings.append(
            Finding(level, "redis memory", f"{used / 1e6:.0f} of {most / 1e6:.0f} MB", advice)
        )
    return findings


def judge_send_buffer(granted_bytes: int) -> Finding:
    """Judge how much a Unix socket takes at once; see `granted_buffer_bytes`."""
    found = f"takes {granted_bytes >> 10:,} KiB at once"
    if granted_bytes >= SEND_BUFFER_BYTES:
        return Finding("ok", "redis socket", found)
    return Finding(
        "warn", "redis socket", found,
        f"`sysctl -w net.core.wmem_max={SEND_BUFFER_BYTES}` lets the folds write a whole round",
    )  # fmt: skip


def judge_layout(meta: Mapping[str, str], partitions: int) -> Finding:
    """Judge what the state says of its own layout.

    Args:
        meta: the HASH that workers leave.
        partitions: of the topics.
    """
    if not meta:
        return Finding("warn", "state", "none yet", "start a `freshet worker`")
    wanted = {"layout": str(LAYOUT_VERSION), "partitions": str(partitions)}
    wrong = [name for name, value in wanted.items() if meta.get(name) != value]
    if wrong:
        found = ", ".join(f"{name} {meta.get(name)}, expected {wanted[name]}" for name in wrong)
        return Finding("fail", "state", found, REBUILD)
    return Finding("ok", "state", f"layout {LAYOUT_VERSION}, {partitions} partitions")


def judge_lag(
    fold: str, *, lag: list[int], lost: list[int], ahead: Sequence[int] = (), moving: bool
) -> Finding:
    """Judge how far a fold is behind its log.

    Args:
        fold: its name.
        lag: records of each partition that are not in the state.
        lost: records of each partition that the log dropped before they were applied.
        ahead: how far the position of each partition is behind the end of its log.
        moving: whether the position moved while it was looked at.
    """
    what = f"{fold} fold"
    if any(lost):
        return Finding("fail", what, f"the log lost {sum(lost):,} records that were not applied",
                       "rebuild the state from the recorded log under another "
                       "FRESHET_NAMESPACE")  # fmt: skip
    if any(ahead):
        return Finding("fail", what, f"its positions are {sum(ahead):,} records behind the ends of "
                       "the log: the topic was created anew, or the state is of another Kafka "
                       "cluster", "start under a new FRESHET_NAMESPACE and replay")  # fmt: skip
    behind = sum(lag)
    by_partition = ", ".join(f"{partition}: {each}" for partition, each in enumerate(lag) if each)
    if not behind:
        return Finding("ok", what, "at the end of its log")
    found = f"{behind:,} records behind ({by_partition})"
    if not moving:
        advice = "start a `freshet worker`, or read its log: it may be restarting"
        return Finding("fail", what, f"{found} and not moving", advice)
    if behind > LAG_OF_CONCERN:
        return Finding("warn", what, found, "start another `freshet worker`")
    return Finding("ok", what, found)


def judge_times(watermarks_ms: Sequence[int], now_ms: int) -> list[Finding]:
    """Judge the times of what a namespace holds: trends decay by them.

    Args:
        watermarks_ms: time of the newest event of each partition, 0 = none.
        now_ms: the time now.
    """
    times = [each for each in watermarks_ms if each]
    if not times:
        return []
    oldest, newest = min(times), max(times)
    found = f"newest events of the partitions: {readable(oldest)} to {readable(newest)} UTC"
    advice = ""
    if newest > now_ms + TIMES_APART_MS:
        advice = "events of the future: live ones count as late until then; mend the clock, rebuild"
    elif newest - oldest > TIMES_APART_MS:
        advice = (
            "times are far apart: an old log was replayed and live events came behind it, so its "
            "trends have decayed; replay it with --shift-to-now under another FRESHET_NAMESPACE"
        )
    elif newest < now_ms - TIMES_APART_MS:
        advice = (
            "all events are old: with the first one of today all trends decay; replay logs with "
            "--shift-to-now"
        )
    return [Finding("warn" if advice else "ok", "event times", found, advice)]
