"""From what was sent and what was seen to how long each event took.

The log itself says where each event lies, and the item deltas say in which item partitions it has
rows: nothing is assumed about offsets, so records of others between ours do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.observer import Seen
from benchmarks.read_topic import read_topic
from benchmarks.steady_events import SentTimes
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from streams.deltas import decode_deltas

Offsets = NDArray[np.int64]


class _Named(msgspec.Struct):
    event_id: str


@dataclass(frozen=True, slots=True)
class Logs:
    """The parts of the two logs that a run wrote.

    Attributes:
        events: (partitions,) first offsets, and the offsets behind the last.
        deltas: the same of the item deltas.
    """

    settings: Settings
    events: tuple[Offsets, Offsets]
    deltas: tuple[Offsets, Offsets]

    @property
    def partitions(self) -> int:
        """Of each topic."""
        return len(self.events[0])


@dataclass(frozen=True, slots=True)
class Run:
    """One run, event by event.

    Attributes:
        due_s: (n,) when it was due, monotonic; NaN for an event that was not sent.
        sent_s: (n,) when the producer's client took it.
        user_s: (n,) when the user side showed it, NaN for never.
        item_s: (n,) when the last of its rows on the item side showed, NaN for never.
    """

    due_s: NDArray[np.float64]
    sent_s: NDArray[np.float64]
    user_s: NDArray[np.float64]
    item_s: NDArray[np.float64]


def follow_events(logs: Logs, seen: Seen, times: SentTimes, seed: int) -> Run:
    """Return when each event of a run became readable.

    Args:
        logs: what the run wrote.
        seen: what the observer saw meanwhile.
        times: when the events were due and sent.
        seed: first part of the ids of the run's events; the row is the second.
    """
    n = len(times.due_s)
    rows = _rows_by_offset(logs, seed)
    user_s, item_s = np.full(n, np.nan), np.full(n, -np.inf)
    for p, row in enumerate(rows):
        offset = np.flatnonzero(row >= 0)
        at = seen.users_readable_s(np.full(len(offset), p), offset + logs.events[0][p])
        user_s[row[offset]] = at
    for p, origins in enumerate(_origins_by_partition(logs)):
        for source in range(logs.partitions):
            offset = origins[origins[:, 0] == source, 1]
            row = rows[source][offset - logs.events[0][source]]
            known = row >= 0
            here, there = np.full(int(known.sum()), p), np.full(int(known.sum()), source)
            np.maximum.at(item_s, row[known], seen.items_readable_s(here, there, offset[known]))
    return Run(times.due_s, times.sent_s, user_s, np.where(np.isfinite(item_s), item_s, np.nan))


def _rows_by_offset(logs: Logs, seed: int) -> list[NDArray[np.int64]]:
    """Return for each partition the row of the event at each offset, -1 where it is no event."""
    starts, ends = logs.events
    rows = [np.full(int(size), -1) for size in ends - starts]
    mine = f"{seed:x}"
    topic = Topics(logs.settings.namespace).events
    for message in read_topic(logs.settings.kafka_bootstrap, topic, starts, ends):
        try:
            event_id = msgspec.json.decode(message.value(), type=_Named).event_id
        except (msgspec.DecodeError, TypeError):  # not an event
            continue
        whose, _, row = event_id.partition("-")
        if whose == mine:
            p = message.partition()
            rows[p][message.offset() - starts[p]] = int(row, 16)
    return rows


def _origins_by_partition(logs: Logs) -> list[NDArray[np.int64]]:
    """Return for each item partition the events that it has rows of: source, offset, (m, 2)."""
    found: list[list[NDArray[np.int64]]] = [[] for _ in range(logs.partitions)]
    topic = Topics(logs.settings.namespace).item_deltas
    for message in read_topic(logs.settings.kafka_bootstrap, topic, *logs.deltas):
        deltas = decode_deltas(message.value())
        for rows in (deltas.activity_rows(), deltas.covisit_rows()):
            found[message.partition()].append(_origins(rows))
    nothing = np.empty((0, 2), np.int64)
    origins = [np.unique(np.concatenate([nothing, *parts]), axis=0) for parts in found]
    # Rows of an event before this run belong to a batch that was folded before it.
    return [each[each[:, 1] >= logs.events[0][each[:, 0]]] for each in origins]


def _origins(rows: Any) -> NDArray[np.int64]:
    return np.stack([rows["source"], rows["offset"]], axis=1).astype(np.int64)


def percentiles(
    name: str, latency_s: NDArray[np.float64], counted: NDArray[np.bool_]
) -> dict[str, float]:
    """Return p50, p99 and the largest of a latency, in ms; never is infinitely late.

    >>> percentiles("user", np.array([0.001, 0.003, np.nan]), np.array([True, True, False]))
    {'user_p50_ms': 1.0, 'user_p99_ms': 3.0, 'user_max_ms': 3.0}
    """
    ms = np.where(np.isfinite(latency_s), latency_s * 1000, np.inf)[counted]
    if not len(ms):
        return {}
    return {
        f"{name}_p50_ms": round(float(np.percentile(ms, 50, method="lower")), 2),
        f"{name}_p99_ms": round(float(np.percentile(ms, 99, method="higher")), 2),
        f"{name}_max_ms": round(float(ms.max()), 2),
    }
