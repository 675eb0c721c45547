"""The bandit against the textbook: regret on headline experiments whose true rates are known.

Every experiment of `upworthy.arms` is a bandit problem; its arms click at the rates that the log
counted. All policies get the same number of impressions of each experiment and learn from their
clicks in batches, as live. The product's prior is learned from what the same play saw in earlier
weeks, never from the log. Regret is summed over the experiments; the intervals are those of a
paired bootstrap over experiments. `--variants` measures what was tried beside it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from replay.evaluate.bandit_environment import Conditions, Policy, Problems, play, read_experiments
from replay.evaluate.bandit_policies import POLICIES, Thompson

SEEDS_AT_A_TIME = 10
RESAMPLES = 2_000
LATE = {"late_updates": 10}
MOVED = {"examination": (0.8, 0.3)}

VARIANTS: dict[str, tuple[Callable[[], Policy], dict[str, Any]]] = {
    "ours": (Thompson, {}),
    "one prior for all arms": (lambda: Thompson(hierarchical=False), {}),
    "prior at the mean": (lambda: Thompson(careful=False), {}),
    "greedy on the posterior": (lambda: Thompson(greedy=True), {}),
    "drawn from the plain posterior": (lambda: Thompson(sharp=False), {}),
    "late clicks": (Thompson, LATE),
    "late clicks, pending ones fail": (lambda: Thompson(pending_fails=True), LATE),
    "slot moves": (Thompson, MOVED),
    "slot moves, examination unknown": (lambda: Thompson(by_examination=False), MOVED),
    "fading, half-life 5,000": (Thompson, {"half_life": 5_000}),
    "fading, half-life 1,000": (Thompson, {"half_life": 1_000}),
    "rates turn": (Thompson, {"turn": True}),
    "rates turn, plain posterior": (lambda: Thompson(sharp=False), {"turn": True}),
    "rates turn, half-life 5,000": (Thompson, {"turn": True, "half_life": 5_000}),
    "rates turn, half-life 1,000": (Thompson, {"turn": True, "half_life": 1_000}),
}
"""By name, what else was tried, and under which conditions."""


@click.command()
@click.option("--seeds", default=20, help="Independent plays of the whole log.")
@click.option("--update-every", default=100, help="Impressions between two updates.")
@click.option("--impressions", default=10_000, help="Most of an experiment; the rest is cut.")
@click.option("--share", default=2, help="Play only each n-th experiment.")
@click.option("--variants", is_flag=True, help="Measure what was tried, instead of the textbook.")
def main(seeds: int, update_every: int, impressions: int, share: int, variants: bool) -> None:
    """Measure the regret of the bandit."""
    log = _log(impressions, share)
    base = Conditions(update_every=update_every)
    rows = list(VARIANTS) if variants else list(POLICIES)
    started_s = time.perf_counter()
    regret = _regrets(rows, log, seeds, base, variants=variants)
    figures = _figures(regret, against="ours" if variants else "ucb1")
    figures |= {
        "experiments": len(regret["ours"]),
        "seeds": seeds,
        "update_every": update_every,
        "impressions": int(sum(problems.horizons.sum() for problems in log)),
        "seconds": round(time.perf_counter() - started_s, 1),
        "load_average": os.getloadavg()[0],
    }
    click.echo(json.dumps(figures))


def _log(impressions: int, share: int) -> list[Problems]:
    folder = Path(os.environ.get("FRESHET_DATA") or Path(__file__).parents[2] / "shared" / "data")
    try:
        log = read_experiments(folder / "upworthy.arms.jsonl.gz", impressions)
    except FileNotFoundError as error:
        raise click.ClickException(
            f"{error.filename} is not there; name the folder of the real logs with FRESHET_DATA"
        ) from error
    kept = [_every(problems, share) for problems in log]
    numbers = np.cumsum([0] + [len(problems.numbers) for problems in kept])
    return [
        replace(problems, numbers=np.arange(start, start + len(problems.numbers)))
        for problems, start in zip(kept, numbers.tolist(), strict=False)
        if len(problems.numbers)
    ]


def _every(problems: Problems, n: int) -> Problems:
    kept = problems.numbers % n == 0
    return replace(
        problems,
        numbers=problems.numbers[kept],
        rates=problems.rates[kept],
        horizons=problems.horizons[kept],
    )


def _regrets(
    rows: list[str], log: list[Problems], seeds: int, base: Conditions, *, variants: bool
) -> dict[str, NDArray[np.float64]]:
    """Return by row the mean regret over the seeds, (experiments,)."""
    parts = [min(SEEDS_AT_A_TIME, seeds - at) for at in range(0, seeds, SEEDS_AT_A_TIME)]
    sums: dict[str, Any] = dict.fromkeys(rows, 0)
    bar = Progress(console=Console(stderr=True))
    with bar, ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        task = bar.add_task("policies", total=len(rows) * len(parts))
        jobs = {
            pool.submit(_play, row, variants, log, part, base, [number, len(row)]): row
            for row in rows
            for number, part in enumerate(parts)
        }
        for job in as_completed(jobs):
            sums[jobs[job]] = sums[jobs[job]] + job.result()
            bar.advance(task)
    return {row: total / seeds for row, total in sums.items()}


def _play(
    row: str,
    variants: bool,
    log: list[Problems],
    seeds: int,
    base: Conditions,
    entropy: list[int],
) -> NDArray[np.float64]:
    """Return the sum of the regret over some seeds, (experiments,); in a process of its own."""
    maker, changed = VARIANTS[row] if variants else (POLICIES[row], {})
    rng = np.random.default_rng(entropy)
    regret = play(maker(), log, seeds, rng, replace(base, **changed))
    return np.asarray(regret.sum(axis=0))


def _figures(regret: dict[str, NDArray[np.float64]], against: str) -> dict[str, Any]:
    """Print the table and return the ratios, with bootstrap intervals over the experiments."""
    rng = np.random.default_rng(0)
    n = len(regret["ours"])
    counts = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES)  # (resamples, experiments)
    table = Table("", "regret", f"over {against}", "95 % interval")
    figures: dict[str, Any] = {}
    for row, each in regret.items():
        resampled = (counts @ each) / (counts @ regret[against])
        low, high = np.percentile(resampled, [2.5, 97.5])
        ratio = each.sum() / regret[against].sum()
        table.add_row(row, f"{each.sum():,.0f}", f"{ratio:.3f}", f"{low:.3f} to {high:.3f}")
        figures[row] = {
            "regret": round(float(each.sum()), 1),
            f"relative_to_{against}": round(float(ratio), 4),
            "ci": [round(float(low), 4), round(float(high), 4)],
        }
    Console(stderr=True).print(table)
    ours = figures["ours"]
    heads = {"relative_to_ucb1": ours.get("relative_to_ucb1")} if against == "ucb1" else {}
    if "uniform" in regret:
        heads["relative_to_uniform"] = round(
            float(regret["ours"].sum() / regret["uniform"].sum()), 4
        )
        heads |= dict(zip(("ci_low", "ci_high"), ours["ci"], strict=True))
    return heads | {"policies": figures}


if __name__ == "__main__":
    main()
