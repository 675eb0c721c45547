"""What the user fold tells the joiner: events that name the answer they respond to.

It goes into `slates`, to the partition that has the answers of the same people, so that the joiner
is a fold of one topic with one position. Two topics would need two positions in one state, and to
read `events` a second time would cost what the user fold costs.

Law: a row is named by the offset of its event, and those of a partition are told in their order.
Telling a row again changes nothing, whatever the boundaries of the messages are, because the joiner
drops rows of offsets that it has passed. An erasure has no such name: told again, it also takes the
answers that the person was given since, which then teach nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.examples import MOST_DWELL_S, OUTCOME_DTYPE
from freshet.core.events.producer import Record
from freshet.core.events.schema import MAX_FUTURE_MS, Event
from freshet.core.settings import Settings
from streams.partition_events import PartitionEvents

TIMES_TOLD: Final = 100  # in a join window, where no outcome tells the time by itself


class Outcomes(msgspec.Struct, array_like=True, frozen=True):
    """Events of one partition in a round of the user fold, and how far its time has come.

    Attributes:
        now_ms: event time: of the newest event or heartbeat, as far as a step of it is over.
        request_ids: (r,) the answers that were responded to.
        rows: (r,) events of each, of `OUTCOME_DTYPE`.
        erased: people whose waiting answers must go.
    """

    now_ms: int
    request_ids: list[str] = []
    rows: list[bytes] = []
    erased: list[str] = []


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Outcomes)


def encode_outcomes(outcomes: Outcomes) -> bytes:
    """Return a message; it never begins as the JSON of a slate does."""
    return _ENCODER.encode(outcomes)


def decode_outcomes(raw: bytes) -> Outcomes:
    """Return the outcomes in a message.

    Raises:
        msgspec.DecodeError: the message was not written by a user fold.
    """
    return _DECODER.decode(raw)


class OutcomeTeller:
    """Makes the messages of a user fold.

    Where nobody responds, the time alone is told, so that answers do not wait for ever; seldom,
    because it costs a record. Time is told in steps of event time, `TIMES_TOLD` of them in a join
    window: so how far the joiner's time comes does not depend on when or in what batches the events
    are read.

    Args:
        topic: of the answers.
        settings: how long an answer waits.
    """

    def __init__(self, topic: str, settings: Settings) -> None:
        self._topic = topic
        self._step_ms = max(1000 * settings.join_window_s // TIMES_TOLD, 1)
        self._told_ms: dict[int, int] = {}

    def told(
        self,
        reads: Sequence[PartitionEvents],
        events: NDArray[Any],
        accepted: NDArray[np.int64],
        now_ms: Callable[[int], int],
    ) -> list[Record]:
        """Return the records to produce, at most one of each partition.

        Args:
            reads: the events of a round, by partition.
            events: (e,) the same as the fold takes them.
            accepted: (a,) which of them count.
            now_ms: tells the event time of a partition.
        """
        found = [event for read in reads for event in read.events]
        named = [event.request_id for event in found]
        by_partition = _by_answer(events, found, accepted) if any(named) else {}
        records = []
        for read in reads:
            answers = by_partition.get(read.partition, {})
            time_ms = self._step(now_ms(read.partition))
            if not answers and time_ms <= self._told_ms.get(read.partition, 0):
                continue
            self._told_ms[read.partition] = time_ms
            message = Outcomes(time_ms, list(answers), list(answers.values()))
            records.append(self._record(read.partition, message))
        return records

    def erasure(self, partition: int, user_id: str, now_ms: int) -> Record:
        """Return the record that makes the joiner forget a person."""
        return self._record(partition, Outcomes(self._step(now_ms), erased=[user_id]))

    def _step(self, now_ms: int) -> int:
        """Return the last step of event time that is over."""
        return now_ms - now_ms % self._step_ms

    def _record(self, partition: int, message: Outcomes) -> Record:
        return Record(self._topic, partition, None, encode_outcomes(message))


def _by_answer(
    events: NDArray[Any], found: Sequence[Event], accepted: NDArray[np.int64]
) -> dict[int, dict[str, bytes]]:
    """Return the accepted events that name an answer: rows by partition and answer."""
    sources = events["source"].tolist()
    groups: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for at in accepted.tolist():
        if request_id := found[at].request_id:
            groups[sources[at], request_id].append(at)
    order = [at for group in groups.values() for at in group]
    rows = _rows(events[order], [found[at].value for at in order]).tobytes()
    by_partition: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
    start = 0
    for (source, request_id), group in groups.items():
        end = start + len(group) * OUTCOME_DTYPE.itemsize
        by_partition[source][request_id] = rows[start:end]
        start = end
    return by_partition


def _rows(events: NDArray[Any], values: Sequence[float | None]) -> NDArray[Any]:
    """Return rows of some events, (n,) of `OUTCOME_DTYPE`."""
    rows = np.empty(len(events), OUTCOME_DTYPE)
    for name in ("offset", "item", "type"):
        rows[name] = events[name]
    # As in the fold: a clock far ahead of the log is not believed.
    ahead = events["ts_ms"] > events["log_ts_ms"] + MAX_FUTURE_MS
    rows["ts_ms"] = np.where(ahead, events["log_ts_ms"], events["ts_ms"])
    rows["value"] = np.clip([value or 0.0 for value in values], -MOST_DWELL_S, MOST_DWELL_S)
    return rows
