"""How far the product falls when the world changes at one moment, and when it is back.

A generated log is judged without a change, with the tastes of half the people drawn anew, and with
half of the items, or all, playing one another's roles. The product is not told, and has nothing
that would look for it. A last run begins at the change: what someone reaches who has nothing to
forget.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import msgspec
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from freshet.core.events.schema import Event, Item
from freshet.core.settings import Settings
from online_models.maths.accuracy import gains_at
from online_models.training.log import build_log
from online_models.training.prequential import PrequentialTrainer, TrainingTimes
from replay import world
from replay.evaluate import drift
from replay.evaluate.drift import Recovery, recovery_of, swap_roles
from replay.evaluate.figures import figures
from replay.evaluate.judge import Judge, Plan
from replay.evaluate.outcome import Outcome
from replay.evaluate.report import Meta, write_report
from replay.evaluate.request import PRODUCT
from replay.generated_log import to_events, to_items
from replay.generator import generate

DRIFT_AT = 0.4  # share of the time
TIMES = TrainingTimes(first_s=20, later_s=8, ranker_s=20)


@click.command()
@click.option("--users", default=600, help="Of the generated log.")
@click.option("--items", default=200, help="Of the generated log.")
@click.option("--days", default=14.0, help="Of the generated log.")
@click.option("--requests", default=2_000, help="Of each run.")
@click.option("--trainings", default=8, help="While answers count; -1 = no models at all.")
@click.option("--window", default=drift.WINDOW, help="Requests of a rolling mean.")
@click.option("--seed", default=1, help="Of everything.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write plots, as HTML.")
def main(
    users: int, items: int, days: float, requests: int, trainings: int, window: int, seed: int,
    out: Path | None,
) -> None:  # fmt: skip
    """Measure how the product comes back after a change."""
    torch.set_num_threads(1)
    steady = world.Plan(users=users, items=items, days=days, seed=seed, drift_at=1)
    drifting = replace(steady, drift_at=DRIFT_AT)
    drift_ts_ms = steady.start_ts_ms + int(DRIFT_AT * steady.span_s * 1000)
    as_it_is, catalogue = _log(steady)
    logs = {
        "no change": (as_it_is, catalogue),
        "tastes of half the people": _log(drifting),
    }
    for amount, share in (("half of the items", 0.5), ("all items", 1.0)):
        swapped = swap_roles(as_it_is, drift_ts_ms, np.random.default_rng(seed), share)
        logs[f"roles of {amount}"] = swapped, catalogue
    trained = max(trainings, 0)
    plan = Plan(
        requests, expose_from=0.1, judge_from=0.2, trainings=trained, slates=0, shown=requests
    )
    models = seed if trainings >= 0 else None
    outcomes = {name: _judged(name, *each, plan, models) for name, each in logs.items()}
    found = {name: recovery_of(each, drift_ts_ms, window=window) for name, each in outcomes.items()}
    newborn = [each for each in swapped if each.ts_ms >= drift_ts_ms]
    reset = _judged("all items, born at the change", newborn, catalogue, plan, models)
    level = float(gains_at(reset.ranks(PRODUCT), 10)[-len(reset.events) // 4 :].mean())
    _show(found, level)
    if out is not None:
        control, *changed = found.values()
        facts = {"requests": f"{requests:,}", "trainings": str(trainings), "seed": str(seed)}
        meta = Meta("Drift", ["Generated logs; see benchmarks/drift.py."], facts)
        judged = [figures(each, seed) for each in outcomes.values()]
        write_report(out, judged, meta, [drift.section(each, control) for each in changed])
    told = {name: msgspec.to_builtins(each) for name, each in found.items()}
    for each in told.values():
        del each["rolling"]
    click.echo(json.dumps({"events": len(as_it_is), "level_of_newborn": level, **told}))


def _log(plan: world.Plan) -> tuple[list[Event], list[Item]]:
    truth, rows = generate(plan)
    return list(to_events(plan, rows)), to_items(plan, truth)


def _judged(
    name: str, events: Sequence[Event], items: Sequence[Item], plan: Plan, seed: int | None
) -> Outcome:
    log = build_log(events, items)
    trainer = None
    if seed is not None:
        torch.manual_seed(seed)
        trainer = PrequentialTrainer(log, TIMES, seed)
    judge = Judge(name, log, events, Settings(), trainer, [], plan)
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=1.0)
        return judge.run(lambda share: bar.update(task, completed=share))


def _show(found: dict[str, Recovery], newborn: float) -> None:
    table = Table("what changes", "NDCG@10 before", "lowest", "in the end", "back after, events")
    for name, each in found.items():
        levels = [f"{level:.4f}" for level in (each.level_before, each.lowest, each.level_after)]
        back = each.recovered_after_events
        table.add_row(name, *levels, "never" if back is None else f"{back:,}")
    table.add_row("all, one born at the change", "", "", f"{newborn:.4f}", "")
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
