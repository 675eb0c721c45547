"""`freshet eval`: what the product foresees of recorded logs, beside what simple methods do."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from freshet import __version__
from freshet.core.clock import system_clock
from freshet.core.errors import FreshetError
from freshet.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from replay.evaluate.figures import Figures
    from replay.evaluate.judge import Judge, Plan

SHOWN: Final = ("recall10", "recall20", "mrr20", "ndcg10", "coverage10")
PROTOCOL: Final = (
    "Events are lived in the order of their times; equal times keep the order of the file. A "
    "request sees the state of all events before it and of none after.",
    "The task is the next item that is new to the person: what they visit, buy or rate next and "
    "have not among their last 50 interactions. Where the log holds the impression that a click "
    "answers, the request stands before its slate. All items that exist by then are ranked; one "
    "that does not exist yet is a miss for everyone.",
    "The product answers through its own folds, sources, ranker and re-ranking, on state in "
    "memory and without exploration slots. Its models know what was before their training: they "
    "are trained when the judging begins and anew in its course. Equal scores keep the order of "
    "the candidates' fused rank; baselines order equal scores by the hash of the item.",
    "The baselines have one setting each for all logs, and learn from every event before the "
    "request; item-knn, ials and ease are retrained daily at most.",
)


class EvalMissingError(FreshetError):
    """What the judge needs is not installed."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"judging needs {missing}, which is not installed: pip install 'freshet[train,eval]'"
        )


@click.command(short_help="Judge the product beside simple methods on logs.")
@click.argument(
    "logs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--requests",
    default=10_000,
    type=click.IntRange(min=50),
    help="Most requests that are asked of a log.",
)
@click.option(
    "--trainings",
    default=2,
    type=click.IntRange(min=0),
    help="Times that the models are trained anew while answers count.",
)
@click.option("--models/--no-models", default=True, help="Whether the product has models at all.")
@click.option("--seed", default=0, help="Of training and resampling.")
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a self-contained page with tables and plots here.",
)
@click.option("--json", "as_json", is_flag=True, help="End with all figures as one JSON object.")
def command(
    logs: tuple[Path, ...],
    *,
    requests: int,
    trainings: int,
    models: bool,
    seed: int,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Judge the product on each LOG, test-then-train, beside a dozen of simple methods.

    A LOG is a file of JSON lines, as `freshet train` takes it; its items file is found beside it.
    The first 40 % of each log are only learned from. What follows is foreseen, event by event, and
    then learned from too; nothing is ever computed with what came later.

    The last line is one JSON object: for each log the product's figures and its difference to the
    best of the simple methods, in per cent of Recall@20, with an interval of 95 %.

    \b
    Examples:
        freshet eval my.events.jsonl.gz --report report.html
        freshet eval a.events.jsonl.gz b.events.jsonl.gz --requests 3000
    """
    for module in ("torch", "implicit", "plotly", "jinja2"):
        if importlib.util.find_spec(module) is None:
            raise EvalMissingError(module)
    # Threads that spin while they wait for each other are ten times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import msgspec
    from rich.console import Console
    from rich.progress import Progress

    from freshet.core.events.recorded import log_name
    from replay.evaluate.figures import figures
    from replay.evaluate.judge import Plan
    from replay.evaluate.remarks import remarks

    settings = load_settings()
    plan = Plan(requests=requests, trainings=trainings)
    console = Console(stderr=True)
    found: list[Figures] = []
    with Progress(console=console, transient=True) as progress:
        bars = {path: progress.add_task(f"judge {log_name(path)}", total=1.0) for path in logs}
        for path, bar in bars.items():
            judge = _judge(path, settings, plan, seed, models=models)
            outcome = judge.run(lambda share, bar=bar: progress.update(bar, completed=share))  # type: ignore[misc]
            found.append(figures(outcome, seed))
            progress.update(bar, completed=1.0)
            console.print(_table(found[-1]))
            for remark in remarks(found[-1]):
                console.print(f"- {remark}")
    if report_file is not None:
        _write_report(report_file, found, plan, seed)
        console.print(f"report: {report_file}")
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    headlines = {each.name: each.headline for each in found}
    click.echo(msgspec.json.encode({"logs": headlines, "requests": requests, "seed": seed}))


def _judge(path: Path, settings: Settings, plan: Plan, seed: int, *, models: bool) -> Judge:
    """Return the judge of a log."""
    from freshet.core.events.recorded import items_file_of, log_name, read_events, read_items
    from online_models.training.log import build_log
    from online_models.training.prequential import PrequentialTrainer, TrainingTimes
    from replay.evaluate.baselines import baselines
    from replay.evaluate.judge import Judge

    events = sorted(read_events(path), key=lambda event: event.ts_ms)
    items_file = items_file_of(path)
    log = build_log(events, read_items(items_file) if items_file else [])
    trainer = PrequentialTrainer(log, TrainingTimes(), seed) if models else None
    return Judge(log_name(path), log, events, settings, trainer, baselines(log), plan)


def _table(found: Figures) -> Table:
    """Return the contestants of a log, the best first."""
    from rich.table import Table

    table = Table(title=f"{found.name}: {found.requests:,} requests", title_justify="left")
    table.add_column("contestant")
    for name in SHOWN:
        table.add_column(name, justify="right")
    for scores in found.scores:
        style = "bold" if scores.contestant == "product" else None
        values = (_shown(getattr(scores, name)) for name in SHOWN)
        table.add_row(scores.contestant, *values, style=style)
    return table


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"


def _write_report(path: Path, found: list[Figures], plan: Plan, seed: int) -> None:
    """Write the page."""
    import platform
    from datetime import UTC, datetime

    from replay.evaluate.report import Meta, write_report

    facts = {
        "Freshet": __version__,
        "Python": platform.python_version(),
        "processors": str(os.cpu_count()),
        "requests at most": f"{plan.requests:,}",
        "judged from": f"{plan.judge_from:.0%} of each log",
        "trainings": f"{2 + plan.trainings} of the encoder, {1 + plan.trainings} of the ranker",
        "seed": str(seed),
        "written": datetime.fromtimestamp(system_clock() / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
    }
    write_report(path, found, Meta("What Freshet foresees", PROTOCOL, facts))
