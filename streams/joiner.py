"""The joiner of one partition: an answer waits for its outcome, then it is an example.

Law: what comes out is a function of the records that went in, in their order, and of nothing else,
so that a worker that reads them again makes the same examples under the same names. An answer waits
until event time has passed it by the join window, or until too many wait behind it. One that nobody
saw teaches nothing, and is dropped.

An outcome may come before its answer, which travels on a way of its own: it waits too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from freshet.core.events.examples import OUTCOME_DTYPE, Example, example_of
from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import TYPE_CODES, Slate
from streams.oldest_first import OldestFirst
from streams.outcomes import Outcomes

MOST_ROWS: Final = 1_000  # outcomes of one answer; who sends more is no person
SLATE_COUNTS: Final = ("complete", "early", "never_shown", "erased", "repeated")
OUTCOME_COUNTS: Final = ("joined", "late", "no_slot", "no_slate", "excess")

_DWELL: Final = TYPE_CODES["dwell"]


class WaitingSlate(Struct, frozen=True, array_like=True):
    """An answer that waits: whose it is, and the example that it will be."""

    user_id: str
    example: Example


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(WaitingSlate)


def encode_waiting(slate: WaitingSlate) -> bytes:
    """Return a waiting answer as the state holds it."""
    return _ENCODER.encode(slate)


def decode_waiting(raw: bytes) -> WaitingSlate:
    """Return a waiting answer from the state."""
    return _DECODER.decode(raw)


def require_outcomes(raw: bytes) -> bytes:
    """Return packed outcomes from the state as they are.

    Raises:
        ValueError: they are no rows of `OUTCOME_DTYPE`.
    """
    if not raw or len(raw) % OUTCOME_DTYPE.itemsize:
        raise ValueError(f"{len(raw)} bytes, expected rows of {OUTCOME_DTYPE.itemsize}")
    return raw


@dataclass(slots=True)
class Joined:
    """What some records made.

    Attributes:
        examples: in the order of their names.
        slates: names of the answers that began or ceased to wait.
        outcomes: names of the answers whose outcomes changed.
        counts: of the words of `SLATE_COUNTS` and `OUTCOME_COUNTS`, and `duplicates`: rows that
            had been taken.
    """

    examples: list[Example] = field(default_factory=list)
    slates: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


class Joiner:
    """The answers of one partition that wait, and the outcomes that came so far.

    Args:
        window_ms: how long an answer waits, event time.
        most: answers that wait at the same time; as many may have outcomes only.
        now_ms: event time so far.
        passed: next offset of the events whose outcomes were taken.

    Attributes:
        slates: answers by their request ids.
        outcomes: rows of `OUTCOME_DTYPE` by request id.
    """

    def __init__(self, *, window_ms: int, most: int, now_ms: int = 0, passed: int = 0) -> None:
        self.slates: dict[str, WaitingSlate] = {}
        self.outcomes: dict[str, bytes] = {}
        self.now_ms = now_ms
        self.passed = passed
        self._window_ms = window_ms
        self._most = most
        self._by_time = OldestFirst()  # answers
        self._early = OldestFirst()  # outcomes whose answers have not come
        self._joined = Joined()

    def load(self, slates: Mapping[str, WaitingSlate], outcomes: Mapping[str, bytes]) -> None:
        """Take what a worker before this one left in the state."""
        self.slates |= slates
        self.outcomes |= outcomes
        for request_id, waiting in slates.items():
            self._by_time.add(request_id, waiting.example.ts_ms)
        for request_id, rows in outcomes.items():
            if request_id not in slates:
                self._early.add(request_id, _first_ms(np.frombuffer(rows, OUTCOME_DTYPE)))

    def take_slate(self, slate: Slate, record: int) -> None:
        """Let an answer wait.

        Args:
            slate: the answer.
            record: its offset in `slates`.
        """
        request_id = slate.request_id
        if request_id in self.slates:
            self._joined.counts["repeated"] += 1
            return
        self.slates[request_id] = WaitingSlate(slate.user_id, example_of(slate))
        self._by_time.add(request_id, slate.ts_ms)
        self._early.discard(request_id)
        self._joined.slates.add(request_id)
        self._end_waits(record)

    def take_outcomes(self, told: Outcomes, record: int) -> None:
        """Add what people did, and end the waits whose time has come.

        Args:
            told: by the user fold.
            record: its offset in `slates`.
        """
        for user_id in told.erased:
            self._erase(user_id)
        passed = self.passed
        for request_id, packed in zip(told.request_ids, told.rows, strict=True):
            rows = np.frombuffer(packed, OUTCOME_DTYPE)
            fresh = rows[rows["offset"] >= self.passed]
            self._joined.counts["duplicates"] += len(rows) - len(fresh)
            if len(fresh):
                self._add(request_id, fresh)
                passed = max(passed, int(fresh["offset"].max()) + 1)
        self.passed = passed
        self.now_ms = max(self.now_ms, told.now_ms)
        self._end_waits(record)

    def collect(self) -> Joined:
        """Return what the records since the last call made."""
        joined, self._joined = self._joined, Joined()
        return joined

    def _add(self, request_id: str, rows: NDArray[Any]) -> None:
        before = self.outcomes.get(request_id, b"")
        room = MOST_ROWS - len(before) // OUTCOME_DTYPE.itemsize
        self._joined.counts["excess"] += max(len(rows) - room, 0)
        self.outcomes[request_id] = before + rows[: max(room, 0)].tobytes()
        self._joined.outcomes.add(request_id)
        if request_id in self.slates:
            return
        first_ms = _first_ms(np.frombuffer(self.outcomes[request_id], OUTCOME_DTYPE))
        if self._early.get(request_id) != first_ms:
            self._early.add(request_id, first_ms)

    # --- the end of a wait ---

    def _end_waits(self, record: int) -> None:
        """End the waits that are over, by time or because too many wait."""
        due_ms, place = self.now_ms - self._window_ms, 0
        while (oldest := self._by_time.oldest()) is not None:
            ts_ms, request_id = oldest
            if ts_ms > due_ms and len(self._by_time) <= self._most:
                break
            how = "complete" if ts_ms <= due_ms else "early"
            place += self._end(request_id, how, (record, place))
        while (oldest := self._early.oldest()) is not None:
            ts_ms, request_id = oldest
            if ts_ms > due_ms and len(self._early) <= self._most:
                break
            self._drop_early(request_id, due_ms if ts_ms <= due_ms else None)

    def _drop_early(self, request_id: str, due_ms: int | None) -> None:
        """Drop the outcomes up to a time of an answer that has not come, or all of them.

        Each waits for itself: what is left does not depend on which of them came in one message.
        """
        rows = self._drop_outcomes(request_id)
        kept = rows[:0] if due_ms is None else rows[rows["ts_ms"] > due_ms]
        self._joined.counts["no_slate"] += len(rows) - len(kept)
        self._early.discard(request_id)
        if len(kept):
            self.outcomes[request_id] = kept.tobytes()
            self._early.add(request_id, _first_ms(kept))

    def _end(self, request_id: str, how: str, name: tuple[int, int]) -> bool:
        """End the wait of an answer; return whether it became an example."""
        example = self._drop_slate(request_id).example
        rows = self._drop_outcomes(request_id)
        answered, counts = respond(example, rows, self._window_ms)
        self._joined.counts.update(counts)
        if not any(answered.responses):
            self._joined.counts["never_shown"] += 1
            return False
        self._joined.counts[how] += 1
        record, place = name
        example = msgspec.structs.replace(answered, record=record, place=place)
        self._joined.examples.append(example)
        return True

    def _erase(self, user_id: str) -> None:
        """Forget a person's waiting answers."""
        for request_id in [name for name, one in self.slates.items() if one.user_id == user_id]:
            self._drop_slate(request_id)
            self._drop_outcomes(request_id)
            self._joined.counts["erased"] += 1

    def _drop_slate(self, request_id: str) -> WaitingSlate:
        self._by_time.discard(request_id)
        self._joined.slates.add(request_id)
        return self.slates.pop(request_id)

    def _drop_outcomes(self, request_id: str) -> NDArray[Any]:
        if request_id in self.outcomes:
            self._joined.outcomes.add(request_id)
        return np.frombuffer(self.outcomes.pop(request_id, b""), OUTCOME_DTYPE)


def respond(example: Example, rows: NDArray[Any], window_ms: int) -> tuple[Example, dict[str, int]]:
    """Return an example with its outcome, and how many outcomes were of use.

    Args:
        example: of n slots.
        rows: (m,) of `OUTCOME_DTYPE`.
        window_ms: what came later than so long after the answer does not count.
    """
    same = item_hashes(example.item_ids)[:, None] == rows["item"]  # (n, m)
    in_time = rows["ts_ms"] <= example.ts_ms + window_ms
    has_slot = same.any(axis=0)
    used = in_time & has_slot
    slots, rows = np.argmax(same[:, used], axis=0) if used.any() else np.empty(0, int), rows[used]
    responses = np.zeros(len(example.item_ids), np.uint16)
    np.bitwise_or.at(responses, slots, np.uint16(1) << rows["type"].astype(np.uint16))
    dwell_s = np.zeros(len(example.item_ids), np.float32)
    of_dwell = rows["type"] == _DWELL
    np.add.at(dwell_s, slots[of_dwell], np.maximum(rows["value"][of_dwell], 0))
    counts = {
        "joined": int(used.sum()),
        "late": int((~in_time).sum()),
        "no_slot": int((in_time & ~has_slot).sum()),
    }
    answered = msgspec.structs.replace(
        example, responses=responses.astype("<u2").tobytes(), dwell_s=dwell_s.tobytes()
    )
    return answered, counts


def _first_ms(rows: NDArray[Any]) -> int:
    return int(rows["ts_ms"].min())
