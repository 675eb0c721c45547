"""`freshet lag`: how far the state is behind the log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click
import msgspec

from freshet.commands.duration import duration_text
from freshet.core.clock import Clock, system_clock
from freshet.core.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from freshet.core.progress import FoldProgress, ProgressReader

_COUNTED = ("lag", "lost", "ahead")
_AGES = ("watermark", "heartbeat")


@click.command("lag")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks of --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each look.")
def command(*, watch: bool, every_s: float, as_json: bool) -> None:
    """Show how far each fold is behind its log, partition by partition.

    The position is the one in Redis, which is written together with the state: a lag of 0 says that
    everything in the log is in the state. Kafka's own lag of the consumer group is a hint only.

    \b
      position   next offset that the fold will apply
      start, end of the log: the oldest record it still has, and where the next one goes
      lag        records in the log and not in the state
      lost       records that the log dropped before they were applied
      ahead      how far the position is behind the end: the state is of another log
      watermark  age of the newest event that the users fold has applied
      heartbeat  age of the newest heartbeat: how fresh the state is when nothing happens

    The exit code is 1 when records were lost or a position is ahead of its log. What to do then:
    rebuild the state from the recorded log under another FRESHET_NAMESPACE.

    \b
    Examples:
      freshet lag --watch
      freshet lag --json | jq .lag
    """
    from freshet.core.events.cluster import existing_partitions
    from freshet.core.progress import ProgressReader

    settings = load_settings()
    lost = False
    until_asked = suppress(KeyboardInterrupt) if watch else nullcontext()
    with (
        ProgressReader(settings, existing_partitions(settings)) as reader,
        _display(as_json=as_json, live=watch) as show,
        until_asked,
    ):
        for found in _looks(reader, system_clock, every_s if watch else None):
            lost = found["lost"] + found["ahead"] > 0
            show(found)
    sys.exit(1 if lost else 0)


def _looks(reader: ProgressReader, clock: Clock, every_s: float | None) -> Iterator[dict[str, Any]]:
    """Yield what is found: once, or every so many seconds without end."""
    yield look(reader, clock())
    while every_s is not None:
        time.sleep(every_s)
        yield look(reader, clock())


def look(reader: ProgressReader, now_ms: int) -> dict[str, Any]:
    """Return where every fold stands.

    Args:
        reader: of the positions and logs.
        now_ms: the time by which the age of a watermark is told, ms.

    Returns:
        `lag`, `lost` and `ahead` in records, over all, and `folds`: the same of each fold, with a
        row for each of its `partitions`.

    Raises:
        ServiceError: Redis or Kafka does not answer.
    """
    from freshet.core.progress import FOLDS

    folds = {}
    for fold in FOLDS:
        rows = _rows(reader.read(fold), now_ms)
        folds[fold] = {name: sum(row[name] for row in rows) for name in _COUNTED}
        folds[fold]["partitions"] = rows
    totals = {name: sum(fold[name] for fold in folds.values()) for name in _COUNTED}
    return totals | {"folds": folds}


def _rows(progress: FoldProgress, now_ms: int) -> list[dict[str, Any]]:
    columns = {
        "position": progress.next,
        "start": progress.starts,
        "end": progress.ends,
        "lag": progress.lag,
        "lost": progress.lost,
        "ahead": progress.ahead,
        "watermark_ts_ms": progress.total("watermark_ts_ms"),
        "heartbeat_ts_ms": progress.total("heartbeat_ts_ms"),
    }
    rows = []
    for partition in range(len(progress.ends)):
        row: dict[str, Any] = {name: int(column[partition]) for name, column in columns.items()}
        heartbeat = row.pop("heartbeat_ts_ms")
        row["watermark_age_s"] = _age_s(row["watermark_ts_ms"], now_ms)
        row["watermark_ts_ms"] = row["watermark_ts_ms"] or None
        row["heartbeat_age_s"] = _age_s(heartbeat, now_ms)
        rows.append({"partition": partition} | row)
    return rows


def _age_s(ts_ms: int, now_ms: int) -> float | None:
    return round((now_ms - ts_ms) / 1000, 3) if ts_ms else None


@contextmanager
def _display(*, as_json: bool, live: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield what shows a look: as a line of JSON, as a table, or as one that is kept fresh."""
    from rich.console import Console
    from rich.live import Live

    if as_json:
        yield lambda found: click.echo(msgspec.json.encode(found))
    elif not live:
        yield lambda found: Console().print(_table(found))
    else:
        with Live(auto_refresh=False) as screen:
            yield lambda found: screen.update(_table(found), refresh=True)


def _table(found: dict[str, Any]) -> Table:
    """Return a row for each partition, those of a fold under its name."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("fold", footer="all")
    for title in ("partition", "position", "start", "end"):
        table.add_column(title, justify="right")
    for title in _COUNTED:
        table.add_column(title, justify="right", footer=_alarming(title, found[title]))
    for title in _AGES:
        table.add_column(title, justify="right")
    for name, fold in found["folds"].items():
        for row in fold["partitions"]:
            ages = [row[f"{title}_age_s"] for title in _AGES]
            table.add_row(
                name if row["partition"] == 0 else "",
                *(f"{row[title]:,}" for title in ("partition", "position", "start", "end")),
                *(_alarming(title, row[title]) for title in _COUNTED),
                *("" if age is None else duration_text(age) for age in ages),
            )
    return table


def _alarming(title: str, records: int) -> str:
    """Return a number of records, red where they are more than late."""
    return f"[bold red]{records:,}[/]" if title != "lag" and records else f"{records:,}"
