"""What "not for me" brings: items of a category among 20, before and after six events on it.

Each newcomer gets a category by lot, asks, sends six events on items of it, and asks again. The
rejections should bring less of it, clicks more, and impressions, which say nothing, about the same.
Everything goes through the product's own folds and funnel, in this process, with a model that
`freshet train --quick` makes of the generated log, and without one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from freshet.core.events.recorded import read_events, read_items
from freshet.core.events.schema import Event, EventType, Item
from freshet.core.settings import load_settings
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.registry import Registry
from online_models.training.log import build_log
from replay.generated_log import LogFiles, write_log
from replay.lived import LivedLog
from replay.titles import CATEGORIES
from replay.world import Plan
from serving.answer import Answer

KINDS: Final[tuple[EventType, ...]] = ("hide", "dislike", "report", "impression", "click")
"""What newcomers send, in this order: clicks come last, for they move what is popular."""

AFTER_CLICKS: Final = "hide_after_3_clicks"
"""Hides of somebody who has clicked on items of another category before."""

LENGTH: Final = 20
STEP_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who asks, sends events and asks again.

    Attributes:
        group: which figure they count for.
        category: of what they send.
        history: what they sent before they asked first.
        events: what they send between the two questions.
    """

    group: str
    category: str
    history: list[Event]
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Counted:
    """Items of the category among `LENGTH`, before and after."""

    group: str
    before: int
    after: int


@click.command()
@click.option("--newcomers", default=60, help="Of each kind of event.")
@click.option("--events", "n_events", default=6, help="Of each newcomer, on its category.")
@click.option("--users", default=1_000, help="Of the generated log.")
@click.option("--items", default=600, help="Of the generated log.")
@click.option("--days", default=7.0, help="Of the generated log.")
@click.option("--seed", default=1, help="Of the log, the categories and the exploration.")
@click.option("--no-model", is_flag=True, help="Leave out the training and the half with a model.")
def main(
    newcomers: int, n_events: int, users: int, items: int, days: float, seed: int, no_model: bool
) -> None:
    """Measure what rejections, clicks and impressions bring."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        files = write_log(
            Plan(users=users, items=items, days=days, seed=seed), Path(folder) / "log"
        )
        log, catalogue = list(read_events(files.events)), read_items(files.items)
        visits = make_visits(catalogue, newcomers, n_events, log[-1].ts_ms, seed)
        figures: dict[str, Any] = {}
        if not no_model:
            with console.status("training a model"):
                bundle = train(files, Path(folder) / "models")
            figures["model"] = figures_of(play(log, catalogue, visits, bundle, seed, console))
        figures["no_model"] = figures_of(play(log, catalogue, visits, None, seed, console))
    console.print(_table(figures))
    settings = {"newcomers": newcomers, "events": n_events, "length": LENGTH}
    click.echo(json.dumps({**figures, **settings}))


def train(files: LogFiles, models: Path) -> Bundle:
    """Return the bundle that `freshet train --quick` makes of a log."""
    # Not in this process: training spins its threads up and keeps its memory.
    command = [sys.executable, "-m", "freshet.commands.main", "train", str(files.events), "--quick"]
    environ = {**os.environ, "FRESHET_MODELS_DIR": str(models)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"the training failed:\n{done.stderr[-2_000:]}")
    registry = Registry(models)
    return registry.load(registry.current() or "none")


def make_visits(
    catalogue: Sequence[Item], newcomers: int, n_events: int, end_ts_ms: int, seed: int
) -> list[Visit]:
    """Return the visits: the same categories and items for each kind of event."""
    members = {
        name: [item.item_id for item in catalogue if name in item.categories] for name in CATEGORIES
    }
    visits: list[Visit] = []
    groups: list[tuple[str, EventType]] = [(kind, kind) for kind in KINDS]
    groups.insert(len(KINDS) - 1, (AFTER_CLICKS, "hide"))
    for group, kind in groups:
        rng = np.random.default_rng(seed)
        for number in range(newcomers):
            category, other = rng.choice(CATEGORIES, 2, replace=False).tolist()
            on = [str(item) for item in rng.choice(members[category], n_events, replace=False)]
            liked = [str(item) for item in rng.choice(members[other], 3, replace=False)]
            user = f"newcomer-{group}-{number}"
            clicked: list[tuple[EventType, str]] = [("click", item) for item in liked]
            history = clicked if group == AFTER_CLICKS else []
            sent = [
                Event(
                    event_id=f"{user}-{place}",
                    type=name,
                    user_id=user,
                    item_id=item,
                    ts_ms=end_ts_ms + STEP_MS * (place + 1),
                )
                for place, (name, item) in enumerate([*history, *((kind, item) for item in on)])
            ]
            visits.append(Visit(group, category, sent[: len(history)], sent[len(history) :]))
            end_ts_ms = sent[-1].ts_ms
    return visits


def play(
    log: list[Event],
    catalogue: Sequence[Item],
    visits: Sequence[Visit],
    bundle: Bundle | None,
    seed: int,
    console: Console,
) -> list[Counted]:
    """Return what each visit came to, one after the other behind a log."""
    events = [*log, *(event for visit in visits for event in (*visit.history, *visit.events))]
    lived = LivedLog(build_log(events, catalogue), events, load_settings())
    if bundle is not None:
        lived.use(bundle)
    end, counted = len(log), []
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("with a model" if bundle else "without a model", total=len(visits))
        for visit in visits:
            counts = []
            for sent in (visit.history, visit.events):
                end += len(sent)
                lived.live(end)
                # The same draws before and after: what differs was brought by the events.
                answer = lived.recommend(
                    visit.events[0].user_id, LENGTH, np.random.default_rng(seed)
                )
                counts.append(count(answer, visit.category))
            counted.append(Counted(visit.group, *counts))
            progress.advance(bar)
    lived.close()
    return counted


def count(answer: Answer, category: str) -> int:
    """Return how many items of an answer are of a category."""
    return sum(category in item.categories for item in answer.items)


def figures_of(counted: Sequence[Counted]) -> dict[str, Any]:
    """Return the mean number of items of each group, and in how many cases it rose.

    `before` is that of the newcomers, whatever they send then.
    """
    groups = list(dict.fromkeys(each.group for each in counted))
    newcomers = [each.before for each in counted if each.group != AFTER_CLICKS]
    after_clicks = [each.before for each in counted if each.group == AFTER_CLICKS]
    figures: dict[str, Any] = {"before": _mean(newcomers)}
    for group in groups:
        figures[group] = _mean([each.after for each in counted if each.group == group])
    figures["before_after_3_clicks"] = _mean(after_clicks)
    figures["users_worse"] = {
        group: sum(each.after > each.before for each in counted if each.group == group)
        for group in groups
    }
    return figures


def _mean(values: Sequence[int]) -> float:
    return round(float(np.mean(values)), 3) if values else 0.0


def _table(figures: dict[str, Any]) -> Table:
    table = Table(title=f"items of the category among {LENGTH}")
    table.add_column("")
    for half in figures:
        table.add_column(half, justify="right")
        table.add_column("more than before", justify="right")
    for group in ("before", *KINDS, "before_after_3_clicks", AFTER_CLICKS):
        cells = [group]
        for half in figures.values():
            cells += [f"{half[group]:.2f}", str(half["users_worse"].get(group, ""))]
        table.add_row(*cells)
    return table


if __name__ == "__main__":
    main()
