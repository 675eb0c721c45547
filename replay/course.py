"""Where in a log a replay is, and the checkpoints that it leaves."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice

import msgspec

from freshet.core.events.recorded import RecordedLog
from freshet.core.events.schema import Event
from freshet.core.progress import ProgressReader
from replay.already_sent import event_key
from replay.checkpoint import Checkpoint, CheckpointFile, Plan


class Course:
    """The events of a replay, and where in the log the player has come.

    Args:
        log: its rows.
        start: events that were dealt with before.
        already: names of events behind them that Kafka has.
    """

    def __init__(self, log: RecordedLog, start: int, already: set[tuple[str, str]]) -> None:
        self._log = log
        self._already = already
        self._lines = array("q")
        self._places = array("q")
        self.start = start
        self.known: set[str] = set()
        self.line_before = 0
        self.skipped = 0
        self.last_sent = start  # events up to here may be in Kafka
        if start or already:
            self._look()

    def _look(self) -> None:
        for place, row in enumerate(self._log.rows(), 1):
            if place <= self.start:
                self.known.add(row.event.item_id)
                self.line_before = row.line
            elif event_key(row.event) in self._already:
                self.last_sent = place

    def events(self) -> Iterator[Event]:
        """Yield what is still to be sent."""
        for place, row in enumerate(islice(self._log.rows(), self.start, None), self.start + 1):
            if place <= self.last_sent and event_key(row.event) in self._already:
                self.skipped += 1
                continue
            self._lines.append(row.line)
            self._places.append(place)
            yield row.event

    def place(self, played: int) -> int:
        """Return how many events of the log are dealt with when so many were played."""
        return self._places[played - 1] if played else self.start

    def line(self, played: int) -> int:
        """Return the line of the last of them, 0 = none."""
        return self._lines[played - 1] if played else self.line_before

    def line_of(self, at: int) -> int:
        """Return the line of an event by its place among those that were played."""
        return self._lines[at]


class Keeper:
    """Writes how far a replay came.

    Attributes:
        last: what was written last, None = nothing.
    """

    def __init__(
        self,
        file: CheckpointFile,
        log: str,
        plan: Plan,
        shift_ms: int,
        course: Course,
        reader: ProgressReader,
        before: Checkpoint | None,
    ) -> None:
        self._file = file
        self._log, self._plan, self._shift_ms = log, plan, shift_ms
        self._course = course
        self._reader = reader
        self._before = before
        self.last: Checkpoint | None = before

    @property
    def finished(self) -> bool:
        """Return whether the log was played to its end."""
        return self.last is not None and self.last.finished

    @property
    def done(self) -> int:
        """Return how many events of the log are dealt with for good."""
        return self.last.done if self.last else 0

    @property
    def line(self) -> int:
        """Return the line of the last of them, 0 = none."""
        return self.last.line if self.last else 0

    def keep(self, played: int) -> None:
        """Write that so many events were dealt with for good; see `Player`."""
        self._write(self._course.place(played), self._course.line(played), finished=False)

    def settle(self) -> None:
        """Write that nothing is on its way any more."""
        if self.last is not None:
            self.last = msgspec.structs.replace(self.last, settled=True)
            self._file.write(self.last)

    def finish(self, total: int) -> None:
        """Write that the log was played to its end."""
        last = self.last.line if self.last else 0
        self._write(total, last, finished=True)

    def _write(self, done: int, line: int, *, finished: bool) -> None:
        # What was found in Kafka must be found again by the next one, until it is passed.
        passed = self._before is None or done >= self._course.last_sent
        ends = self._reader.read("users").ends.tolist() if passed else self._before.ends  # type: ignore[union-attr]
        self.last = Checkpoint(
            log=self._log,
            plan=self._plan,
            shift_ms=self._shift_ms,
            done=done,
            line=line,
            ends=ends,
            finished=finished,
        )
        self._file.write(self.last)
