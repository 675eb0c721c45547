"""`freshet eval`: what the product foresees of recorded logs, beside what simple methods do."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from freshet import __version__
from freshet.core.clock import system_clock
from freshet.core.distribution import install_advice
from freshet.core.errors import FreshetError
from freshet.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from freshet.core.events.schema import Event
    from online_models.training.exposures import Exposure
    from online_models.training.log import TrainingLog
    from replay.evaluate.check import Check
    from replay.evaluate.figures import Figures
    from replay.evaluate.freshness import Freshness
    from replay.evaluate.judge import Plan, Trainer
    from replay.evaluate.outcome import Outcome
    from replay.evaluate.random_labels import Scorer
    from replay.evaluate.request import Contestant

_CHALLENGER_S: Final = 60.0  # as long as the network may take
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
    "request, impressions among them; item-knn, ials and ease are trained when the judging begins, "
    "whenever the product is, and on days by which the visits have grown by a tenth or by 5,000. "
    "Each stands in the table twice: as the product it hides the last 50 items of the user, and, "
    "where that makes a difference, once more all that the user ever acted on. Equal counts are in "
    "the order of recent visits.",
    "A rejection (hide, dislike, report, few stars) is never a target. Lists are also asked for "
    "before rejections, to see whether they hold what is then rejected.",
    "The encoder alone ranks the whole catalogue, in three rows that are no baselines and begin "
    "with one training when the judging begins: frozen is never trained again, daily is trained "
    "on when a day begins and the visits have grown by a tenth, online learns a few batches every "
    "few hundred events.",
    "Where the log holds impressions, slates of the part that is judged are ranked just before "
    "they were shown, as a client's own candidates, and each item of them was clicked on or not. "
    "The product's ranker learns from the slates before a training, too.",
)


class _Log(NamedTuple):
    """A log as it is judged: as arrays, and its events in the same order."""

    name: str
    arrays: TrainingLog
    events: list[Event]


class EvalMissingError(FreshetError):
    """What the judge needs is not installed."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"judging needs {missing}, which is not installed; {install_advice('train,eval')}"
        )


@click.command(short_help="Judge the product beside simple methods on logs.")
@click.argument(
    "logs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--sort", is_flag=True, help="Sort logs whose rows are out of the order of time.")
@click.option(
    "--requests",
    default=8_000,
    type=click.IntRange(min=50),
    help="Most requests of a log whose answers count.",
)
@click.option(
    "--trainings",
    default=2,
    type=click.IntRange(min=0),
    help="Times that the models are trained anew while answers count.",
)
@click.option("--models/--no-models", default=True, help="Whether the product has models at all.")
@click.option(
    "--challenger", is_flag=True, help="Let trees challenge the network that ranks, as they train."
)
@click.option(
    "--leaks/--no-leaks",
    default=True,
    help="Whether to check that nobody who is judged knows the future.",
)
@click.option(
    "--freshness",
    is_flag=True,
    help="Judge also what fresh state and models are worth: some minutes more for each log.",
)
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
    sort: bool,
    requests: int,
    trainings: int,
    models: bool,
    challenger: bool,
    leaks: bool,
    freshness: bool,
    seed: int,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Judge the product on each LOG, test-then-train, beside a dozen of simple methods.

    A LOG is a file of JSON lines, as `freshet train` takes it; its items file is found beside it.
    The first 40 % of each log are only learned from. What follows is foreseen, event by event, and
    then learned from too; nothing is ever computed with what came later.

    The last line is one JSON object: for each log the product's figures and its difference to the
    best of the simple methods, in per cent of Recall@20, with an interval of 95 %. Where a leak
    check failed, no figure of the log is quoted, `difference` is null, `checks_failed` names the
    checks, and the exit code is 1.

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

    from freshet.core.events.recorded import distinct_names
    from replay.evaluate.figures import figures
    from replay.evaluate.freshness import daily, measure_freshness
    from replay.evaluate.judge import Plan

    settings = load_settings()
    plan = Plan(requests=requests, trainings=trainings)
    console = Console(stderr=True)
    found: list[Figures] = []
    checks: dict[str, list[Check]] = {}
    fresh: list[Freshness] = []
    read: dict[str, dict[str, object]] = {}
    with Progress(console=console, transient=True) as progress:
        names = distinct_names(logs)
        bars = [progress.add_task(f"judge {name}", total=1.0) for name in names]
        for path, name, bar in zip(logs, names, bars, strict=True):
            say = partial(console.print, markup=False)
            log, read[name] = _read(path, name, settings.low_rating, sort, say)
            checks[log.name] = _checks(log, settings, seed, models=models) if leaks else []
            report = partial(_move, progress, bar)
            outcome = _judge(
                log, settings, plan, seed, report, models=models, challenger=challenger
            )
            found.append(figures(outcome, seed, checks[log.name]))
            _print(console, found[-1])
            if freshness:
                trainer = _trainer(log, seed, models=models, challenger=challenger)
                often = daily(log.arrays, plan)
                fresh.append(measure_freshness(*log, settings, trainer, often, report))
    if report_file is not None:
        _write_report(report_file, found, checks, fresh, plan, seed)
        console.print(f"report: {report_file}")
    failed = {each.name: each.checks_failed for each in found if each.checks_failed}
    if as_json:
        whole = {"logs": found, "checks": checks, "checks_failed": failed, "freshness": fresh}
        click.echo(msgspec.json.encode(whole | {"read": read}))
    else:
        short = _short(found, failed, fresh, requests, seed)
        click.echo(msgspec.json.encode(short | {"read": read}))
    if failed:
        click.get_current_context().exit(1)


def _print(console: Console, found: Figures) -> None:
    """Print what is to be known of a log: the bad news, then the tables, then the leak checks."""
    from replay.evaluate.leaks import sentences
    from replay.evaluate.remarks import remarks
    from replay.evaluate.tables import tables

    for remark in remarks(found):
        console.print(f"- {remark}", markup=False)
    for table in tables(found):
        console.print(table)
    for sentence in sentences(found.checks):
        console.print(f"- {sentence}", markup=False)


def _short(
    found: list[Figures],
    failed: dict[str, list[str]],
    fresh: list[Freshness],
    requests: int,
    seed: int,
) -> dict[str, object]:
    """Return the last line: what to quote of each log, and the bad news."""
    from replay.evaluate.remarks import remarks

    not_passed = {
        each.name: [check.name for check in each.checks if not check.passed] for each in found
    }
    # What is predicted of clicks and rejections is a figure too: none where a check failed.
    quoted = [each for each in found if not each.checks_failed]
    return {
        "logs": {each.name: each.headline for each in found},
        "checks_failed": failed,
        "bad_news": {each.name: remarks(each) for each in found},
        "clicks": {each.name: each.clicks for each in quoted if each.clicks is not None},
        "rejections": {
            each.name: each.rejections for each in quoted if each.rejections is not None
        },
        "never_played": {
            each.name: [scores.contestant for scores in each.scores if not scores.played]
            for each in found
        },
        "requests": requests,
        "seed": seed,
        "leak_checks": sum(len(each.checks) for each in found),
        "leak_checks_not_passed": {name: some for name, some in not_passed.items() if some},
        "freshness": [each for each in fresh if each.name not in failed],
    }


def _move(progress: Progress, bar: TaskID, share: float) -> None:
    progress.update(bar, completed=share)


def _read(
    path: Path, name: str, low_rating: float, sort: bool, say: Callable[[str], None]
) -> tuple[_Log, dict[str, object]]:
    """Return a log with the catalogue beside it, and the judgement of its file."""
    from freshet.core.events.recorded import Part, open_log
    from online_models.training.log import build_log

    found = open_log(path, part=Part(sort=sort), keep=True)
    for sentence in found.sentences():
        say(sentence)
    # The few late rows of a log in order are judged at their time, too.
    events = sorted(found.events(), key=lambda event: event.ts_ms)
    arrays = build_log(events, found.items() or [], low_rating=low_rating)
    return _Log(name, arrays, events), found.summary()


def _judge(
    log: _Log,
    settings: Settings,
    plan: Plan,
    seed: int,
    report: Callable[[float], None],
    *,
    models: bool,
    challenger: bool,
) -> Outcome:
    """Return what everyone foresaw of a log."""
    from replay.evaluate.baselines import baselines
    from replay.evaluate.encoder_rows import encoder_rows
    from replay.evaluate.judge import Judge, training_events

    trainer = _trainer(log, seed, models=models, challenger=challenger)
    others = baselines(log.arrays, training_events(log.arrays, plan)[1:])
    parts: list[Contestant] = []
    if models:
        from online_models.training.lone_encoder import Effort, LoneEncoder

        first = log.arrays.cut(plan.judge_from)
        parts = encoder_rows(log.arrays, lambda own: LoneEncoder(own, Effort(), seed), first)
    return Judge(*log, settings, trainer, others, plan, parts).run(report)


def _trainer(log: _Log, seed: int, *, models: bool, challenger: bool) -> Trainer | None:
    """Return what trains the product's models, None for a product without."""
    from online_models.training.prequential import PrequentialTrainer, TrainingTimes

    times = TrainingTimes(challenger_s=_CHALLENGER_S if challenger else 0.0)
    return PrequentialTrainer(log.arrays, times, seed) if models else None


def _checks(log: _Log, settings: Settings, seed: int, *, models: bool) -> list[Check]:
    """Return what the checks for knowledge of the future came to."""
    import numpy as np

    from online_models.training.budget import Budget
    from online_models.training.lone_encoder import Effort, LoneEncoder
    from online_models.training.ranker import fit_ranker, scores_of
    from replay.evaluate.baselines import baselines
    from replay.evaluate.encoder_rows import encoder_rows
    from replay.evaluate.leaks import MOMENTS, check_leaks

    def fit(exposures: Sequence[Exposure], later: Sequence[Exposure]) -> Scorer:
        rng = np.random.default_rng(seed)
        ranker = fit_ranker(exposures, later, epochs=5, budget=Budget.of(30), rng=rng)
        return lambda exposure: scores_of(ranker, exposure)

    def fresh(arrays: TrainingLog) -> LoneEncoder:  # no budget may end what must come out alike
        return LoneEncoder(arrays, Effort(1, 1, math.inf, math.inf), seed)

    first = log.arrays.cut(MOMENTS[0] / 2)  # early enough to learn on before they are asked

    def others(arrays: TrainingLog) -> list[Contestant]:
        parts = encoder_rows(arrays, fresh, first) if models else []
        return [*baselines(arrays, [first]), *parts]

    return check_leaks(log.arrays, log.events, settings, others, fit=fit, seed=seed)


def _write_report(
    path: Path,
    found: list[Figures],
    checks: dict[str, list[Check]],
    fresh: list[Freshness],
    plan: Plan,
    seed: int,
) -> None:
    """Write the page."""
    import platform
    from datetime import UTC, datetime

    from replay.evaluate.freshness import section
    from replay.evaluate.leaks import sentences
    from replay.evaluate.report import Meta, write_report

    facts = {
        "Freshet": __version__,
        "Python": platform.python_version(),
        "processors": str(os.cpu_count()),
        "requests at most": f"{plan.requests:,}",
        "judged from": f"{plan.judge_from:.0%} of each log",
        "slates at most": f"{plan.slates:,}",
        "trainings": f"{2 + plan.trainings} of the encoder, {1 + plan.trainings} of the ranker",
        "seed": str(seed),
        "written": datetime.fromtimestamp(system_clock() / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
    }
    checked = [f"{name}: {each}" for name, some in checks.items() for each in sentences(some)]
    meta = Meta("What Freshet foresees", [*PROTOCOL, *checked], facts)
    write_report(path, found, meta, [section(each) for each in fresh])
