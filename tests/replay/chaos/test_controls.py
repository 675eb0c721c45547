"""The doors of the chaos: bugs strike once, and a protection that is taken away is gone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import PositionError
from freshet.core.events.codec import encode
from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.schema import Event
from replay.chaos.controls import (
    Bugs,
    ForgetfulItems,
    MuteProducer,
    PlantedError,
    StruckFold,
    StruckStore,
)
from streams.packed import Packed
from streams.record_batch import RecordBatch
from streams.store import Changes, Move, Position, Write

NOW_MS = 1_700_000_000_000
KEY = "position"


class Store:
    """One position, moved as Redis moves it, and what was written."""

    def __init__(self, **position: int) -> None:
        self.at: Position = position
        self.written: list[Write] = []

    async def position(self, _key: str) -> Position:
        return dict(self.at)

    async def apply(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if write.move.expected != self.at.get("next", -1):
                raise PositionError(KEY, self.at.get("next", -1), write.move.expected)
            self.at = write.move.position
            self.written.append(write)


class Commits:
    """Stands for what Kafka holds as committed."""

    def __init__(self, offset: int | None) -> None:
        self.offset = offset

    def of(self, _key: str) -> int | None:
        return self.offset


def write(expected: int, end: int) -> Write:
    return Write(Move(KEY, "changes", expected, {"next": end}), [], {})


def batch(*values: bytes) -> RecordBatch:
    offsets = list(range(7, 7 + len(values)))
    n = len(values)
    return RecordBatch("t", 2, 7, offsets, [None] * n, list(values), [NOW_MS] * n)


@pytest.fixture
def bugs(tmp_path: Path) -> Bugs:
    """Bugs that nobody has asked for yet."""
    return Bugs(tmp_path)


def test_a_bug_strikes_once_and_only_where_it_is_asked_for(bugs: Bugs) -> None:
    """Its token is gone then, which is how whoever asked knows."""
    bugs.strike("before_fold")
    token = bugs.tokens / "before_fold-1"
    token.touch()
    bugs.strike("before_write")
    with pytest.raises(PlantedError, match="before_fold-1"):
        bugs.strike("before_fold")
    assert not token.exists()
    bugs.strike("before_fold")


async def test_a_bug_before_the_write_writes_nothing_and_one_after_it_all(bugs: Bugs) -> None:
    """The store is whole either way."""
    store = Store(next=5)
    struck = StruckStore(store, bugs)
    (bugs.tokens / "before_write-1").touch()
    with pytest.raises(PlantedError):
        await struck.apply([write(5, 9)])
    assert store.written == []
    (bugs.tokens / "after_write-2").touch()
    with pytest.raises(PlantedError):
        await struck.apply([write(5, 9)])
    assert (len(store.written), store.at) == (1, {"next": 9})


async def test_a_worker_that_wrote_state_has_folded(bugs: Bugs) -> None:
    """A position that moves without any state is not enough, nor is a write that failed."""
    folded = bugs.tokens / "folded"
    struck = StruckStore(Store(next=5), bugs, folded=folded)
    await struck.apply([write(5, 9)])
    assert not folded.exists()
    users = Changes("users", ["ann"], Packed.of([b"x"]))
    with pytest.raises(PositionError):
        await struck.apply([replace(write(5, 9), hashes=[users])])
    assert not folded.exists()
    await struck.apply([replace(write(9, 11), hashes=[users])])
    assert folded.exists()
    folded.unlink()
    await struck.apply([replace(write(11, 12), hashes=[users])])
    assert not folded.exists()


async def test_with_the_check_a_stale_write_is_refused(bugs: Bugs) -> None:
    """The twin of the next test."""
    store = Store(next=3)
    with pytest.raises(PositionError):
        await StruckStore(store, bugs).apply([write(5, 9)])
    assert store.written == []
    assert await StruckStore(store, bugs).position(KEY) == {"next": 3}


async def test_what_is_not_kept_is_not_written(bugs: Bugs) -> None:
    """The rest of the write is; and a bug behind a write strikes where that loses something."""
    store = Store(next=5)
    users, kept = (Changes(key, ["7"], Packed.of([b"x"])) for key in ("users", "outbox"))
    cleared = Changes("outbox", delete=["7"])
    struck = StruckStore(store, bugs, unkept=["outbox"])
    (bugs.tokens / "after_write-1").touch()
    await struck.apply([replace(write(5, 9), hashes=[users, cleared])])
    with pytest.raises(PlantedError):
        await struck.apply([replace(write(9, 11), hashes=[users, kept])])
    assert [each.key for done in store.written for each in done.hashes] == ["users", "users"]


async def test_without_the_check_it_is_written_and_reading_starts_at_the_commit(bugs: Bugs) -> None:
    """Or at the beginning, where nothing was committed; totals stay."""
    store = Store(next=3, applied=2)
    any_commits: Any = Commits(8)
    struck = StruckStore(store, bugs, any_commits)
    assert await struck.position(KEY) == {"next": 8, "applied": 2}
    await struck.apply([write(5, 9)])
    assert store.at == {"next": 9}
    any_commits.offset = None
    assert await struck.position(KEY) == {}


async def test_events_get_new_ids_and_poison_stays(bugs: Bugs) -> None:
    """So a copy is a new event, and what cannot be read still cannot."""

    class Fold:
        name = "users"
        applied: Any = None

        async def apply(self, batches: Sequence[RecordBatch]) -> None:
            self.applied = batches

    event = Event(event_id="e", type="click", user_id="u", item_id="i", ts_ms=NOW_MS)
    inner: Any = Fold()
    renaming = StruckFold(inner, bugs, new_ids=True)
    await renaming.apply([batch(encode(event), b"{bad", encode(event))])
    first, bad, second = inner.applied[0].values
    assert b'"2-7"' in first
    assert b'"2-9"' in second
    assert bad == b"{bad"
    assert renaming.name == "users"
    same = [batch(encode(event))]
    await StruckFold(inner, bugs).apply(same)
    assert inner.applied is same
    (bugs.tokens / "before_fold-1").touch()
    with pytest.raises(PlantedError):
        await StruckFold(inner, bugs).apply([])
    assert inner.applied is same


async def test_a_mute_producer_says_that_it_kept_what_it_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the dead letters alone."""
    kept: list[Record] = []

    async def deliver(_: Any, records: Sequence[Record], timeout_s: float) -> list[str | None]:
        kept.extend(records)
        return [None] * len(records)

    monkeypatch.setattr(EventProducer, "deliver", deliver)
    letter, delta = Record("letters", 0, None, b"x"), Record("deltas", 0, None, b"y")
    with closing(MuteProducer("127.0.0.1:1", "letters")) as producer:
        assert await producer.deliver([letter, delta, letter]) == [None] * 3
    assert kept == [delta]


def test_a_forgetful_item_fold_has_passed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its position says."""
    monkeypatch.setattr(ForgetfulItems.__base__, "_passed", lambda *_: np.array([4, 9]))
    fold = ForgetfulItems.__new__(ForgetfulItems)
    assert fold._passed(0).tolist() == [0, 0]
