"""Off-policy evaluation against the truth: bias, error and coverage, and two real policies.

First a simulator whose policies have known values: many logs of one policy, each judged for
another one, near and far. Then the Open Bandit Dataset: two policies were live side by side, so
the log of each can be asked for the other, and the answer be held against what it really earned.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from online_models.maths.off_policy import Estimate, bootstrap_estimate, estimate
from replay.evaluate.off_policy import LoggedSlots, Verdict, contributions, judge, read_slots
from replay.evaluate.off_policy_world import make_world

SHARPNESS = {"near": 1.0, "far": 5.0}
CAMPAIGNS = ("men", "women")


@click.command()
@click.option("--runs", default=300, help="Logs of the simulator for each distance.")
@click.option("--slots", default=10_000, help="Of each log.")
def main(runs: int, slots: int) -> None:
    """Measure the estimators of off-policy evaluation."""
    path = _folder() / "obd-men-women.events.jsonl.gz"
    if not path.exists():
        raise click.ClickException(
            f"{path} is not there; name the folder of the real logs with FRESHET_DATA"
        )
    figures = {name: _simulated(name, sharp, runs, slots) for name, sharp in SHARPNESS.items()}
    real = {name: _real(path, name) for name in CAMPAIGNS}
    click.echo(json.dumps({"runs": runs, "slots": slots, "simulated": figures, "logged": real}))


def _folder() -> Path:
    return Path(os.environ.get("FRESHET_DATA") or Path(__file__).parents[2] / "shared" / "data")


def _simulated(name: str, sharpness: float, runs: int, slots: int) -> dict[str, Any]:
    """Return bias, error and coverage of each estimator, over the logs that are not refused."""
    rows: dict[str, list[tuple[float, bool]]] = {}
    refused, effective = 0, []
    for run in track(range(runs), name, console=Console(stderr=True)):
        rng = np.random.default_rng([run, slots])
        world = make_world(rng, sharpness)
        log = world.log(slots, rng)
        verdict = judge(log, world.target)
        effective.append(verdict.effective_rounds)
        if verdict.refusal is not None:
            refused += 1
            continue
        # Also those that the verdict gives no interval: this is why.
        made = contributions(log, world.target)
        estimates = {name: estimate(each) for name, each in made.items()}
        estimates["ips_bootstrap"] = bootstrap_estimate(made["ips"], rng)
        for estimator, each in estimates.items():
            covered = each.low <= world.truth <= each.high
            rows.setdefault(estimator, []).append((each.value / world.truth - 1, covered))
    figures = {
        estimator: {
            "bias": round(float(np.mean([error for error, _ in each])), 4),
            "rmse": round(float(np.sqrt(np.mean([error**2 for error, _ in each]))), 4),
            "coverage": round(float(np.mean([covered for _, covered in each])), 4),
        }
        for estimator, each in rows.items()
    }
    table = Table(f"{name}, {refused} of {runs} refused", "bias", "RMSE", "coverage of 95 %")
    for estimator, row in figures.items():
        table.add_row(estimator, f"{row['bias']:+.2%}", f"{row['rmse']:.2%}", f"{row['coverage']}")
    Console(stderr=True).print(table)
    median = round(float(np.median(effective)), 1)
    return {"refused": refused / runs, "median_effective_slots": median, "estimators": figures}


def _real(path: Path, campaign: str) -> dict[str, Any]:
    """Return the verdicts on both policies of a campaign, each from the other's log."""
    logs = {policy: read_slots(path, policy, campaign) for policy in ("random", "bts")}
    n_items = len(logs["random"][1])
    shape = (3, n_items)
    judged = {
        "bts_from_random": (logs["random"], _mean_policy(*logs["bts"], logs["random"][1])),
        "random_from_bts": (logs["bts"], np.full(shape, 1 / n_items)),
    }
    truths = {"bts_from_random": logs["bts"][0], "random_from_bts": logs["random"][0]}
    return {
        name: _compared(f"{campaign}: {name}", judge(log[0], target), truths[name])
        for name, (log, target) in judged.items()
    }


def _mean_policy(log: LoggedSlots, ids: list[str], all_ids: list[str]) -> NDArray[np.float64]:
    """Return how often a policy showed each item at each position, (positions, items)."""
    code = np.searchsorted(all_ids, ids)
    counts = np.zeros((3, len(all_ids)))
    np.add.at(counts, (log.contexts, code[log.items]), 1)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _compared(name: str, verdict: Verdict, truth: LoggedSlots) -> dict[str, Any]:
    live = estimate(truth.clicks)
    table = Table(name, "value", "95 % interval", f"live: {_span(live)}")
    figures: dict[str, Any] = {}
    for estimator, each in verdict.estimates.items():
        known = each.low <= each.high
        covers = bool(each.low <= live.value <= each.high) if known else None
        # The live rate has an error of its own, which is independent of that of the estimate.
        apart = abs(each.value - live.value) > np.hypot(
            each.high - each.value, live.high - live.value
        )
        says = (
            "" if covers is None else "apart" if apart else "agrees" if not covers else "covers it"
        )
        table.add_row(estimator, f"{each.value:.4f}", _span(each) if known else "", says)
        ends = [round(each.low, 5), round(each.high, 5)] if known else None
        figures[estimator] = {"value": round(each.value, 5), "interval": ends, "covers": covers}
    console = Console(stderr=True)
    console.print(table if figures else f"{name}: refused. {verdict.refusal}")
    return {
        "on_policy": live.value,
        "on_policy_interval": [round(live.low, 5), round(live.high, 5)],
        "effective_slots": round(verdict.effective_rounds, 1),
        "largest_weight": round(verdict.largest_weight, 1),
        "mean_weight": round(verdict.mean_weight, 4),
        "estimates": figures,
        "refusal": verdict.refusal,
    }


def _span(found: Estimate) -> str:
    return f"{found.low:.4f} to {found.high:.4f}"


if __name__ == "__main__":
    main()
