"""What a person sees of a chaos run: a bar while it goes, two tables when it is over."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from replay.chaos.plan import KINDS
from replay.chaos.recovery import Wound
from replay.chaos.run import ChaosResult


class ChaosBar:
    """Shows how a run goes; a context manager.

    Args:
        seconds: of the run.
        console: where; None shows nothing.
    """

    def __init__(self, seconds: float, console: Console | None) -> None:
        self._progress = Progress(
            TextColumn("chaos"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f} of {task.total:.0f} s"),
            TextColumn("{task.fields[events]:,} events  lag {task.fields[lag]:,}"),
            TextColumn("{task.fields[doing]}"),
            console=console or Console(quiet=True),
        )
        self._seconds = seconds
        self._task = self._progress.add_task("", total=seconds, events=0, lag=0, doing="starting")

    def show(self, now_s: float, events: int, lag: int, doing: str) -> None:
        """Move the bar; see `replay.chaos.run.Display`."""
        total = max(self._seconds, now_s)
        self._progress.update(
            self._task, completed=now_s, total=total, events=events, lag=lag, doing=doing
        )

    def told(self, wound: Wound) -> None:
        """Print a line; see `replay.chaos.run.Display`."""
        kind = wound.strike.kind
        does = KINDS[kind].does if kind in KINDS else kind
        self._progress.console.print(
            f"{wound.at_s:6.1f} s  {does}: recovered in {wound.recovery_s:.1f} s"
        )

    def __enter__(self) -> ChaosBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def fault_table(result: ChaosResult) -> Table:
    """Return a row for each kind of strike: how often, when, and how long it was felt."""
    table = Table(title=f"faults of seed {result.options.seed}", title_justify="left")
    for name in ("fault", "struck", "at, s", "felt, s: median", "most"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    found: defaultdict[str, list[Wound]] = defaultdict(list)
    for wound in result.wounds:
        found[wound.strike.kind].append(wound)
    for kind, wounds in found.items():
        felt = [wound.recovery_s for wound in wounds if wound.recovery_s is not None]
        open_ones = sum(wound.is_open for wound in wounds)
        most = "never over" if open_ones else f"{max(felt):.1f}" if felt else "overtaken"
        table.add_row(
            KINDS[kind].does,
            str(len(wounds)),
            " ".join(f"{wound.at_s:.0f}" for wound in wounds),
            f"{median(felt):.1f}" if felt else "",
            most,
            style="red" if open_ones or (felt and max(felt) > result.longest_recovery_s) else None,
        )
    return table


def audit_table(result: ChaosResult) -> Table:
    """Return what was found and expected of everything that is counted."""
    verdict = result.verdict
    table = Table(title="audit", title_justify="left")
    for name in ("of", "counted", "wrong", "lost", "doubled", "the worst"):
        table.add_column(name, justify="right" if name not in ("of", "the worst") else "left")
    for name, audit in (("people", verdict.users), ("items", verdict.items)):
        table.add_row(
            name,
            f"{audit.applied:,} of {audit.produced:,}",
            str(audit.wrong),
            str(audit.lost),
            str(audit.doubled),
            " ".join(audit.worst),
            style="red" if audit.wrong else None,
        )
    for each in verdict.findings:
        style = "red" if each.wrong else None
        name, worst = each.name.replace("_", " "), "; ".join(each.worst)
        table.add_row(name, f"{each.compared:,}", str(each.wrong), "", "", worst, style=style)
    rest = ("records not applied", str(verdict.lag), str(verdict.lag))
    table.add_row(*rest, style="red" if verdict.lag else None)
    return table
