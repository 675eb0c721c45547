"""A progress bar of a replay on standard error: events, events/s, lag, event time."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)


class ReplayBar:
    """Shows how far a replay is; a context manager.

    Args:
        title: what is being replayed.
        total: events in all, None when unknown.
    """

    def __init__(self, title: str, total: int | None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:,.0f}  {task.fields[rate]:,.0f}/s"),
            TextColumn("lag {task.fields[lag]:,}"),
            TextColumn("{task.fields[at]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(title, total=total, rate=0.0, lag=0, at="")

    def show(self, events: int, in_flight: int, ts_ms: int) -> None:
        """Move the bar; see `replay.play.Display`."""
        moment = datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        rate = self._progress.tasks[0].speed or 0.0
        self._progress.update(self._task, completed=events, rate=rate, lag=in_flight, at=moment)

    def __enter__(self) -> ReplayBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
