"""The order without a ranker, beside its parts: what each would have listed of the next visits.

A log is replayed through the folds and the funnel of the product, without models. Each request asks
for the next visit to an item that is new to its user, as `freshet eval` does. The lists of the
fixed weights, of the blend that is learned while the log runs, of each source, and of popularity
among the last visits are compared on the same requests. Without a log, one of news is generated:
articles appear all the time and live for hours. The last line is JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from freshet.core.events.recorded import items_file_of, log_name, read_events, read_items
from freshet.core.events.schema import Event, Item
from freshet.core.settings import Settings
from online_models.training.log import build_log
from replay.evaluate.baselines import RECENT_VISITS
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.popularity import AnyOrder, Popular
from replay.evaluate.judge import FUSION, Judge, Plan
from replay.evaluate.request import PRODUCT

START_MS: Final = 1_763_800_000_000
WINDOWS: Final = (500, RECENT_VISITS)
_HOUR_S: Final = 3_600.0


def news_log(
    n_events: int = 20_000, hours: float = 72.0, seed: int = 0
) -> tuple[list[Event], list[Item]]:
    """Return a log of news: 20 articles an hour, most clicks within hours of their publication.

    What is read is drawn by how good an article is and how old, with a half-life of 2 h; of an own
    section every second time. A tenth of the clicks goes to a few evergreens, which lead by the
    week and by all time.
    """
    rng = np.random.default_rng(seed)
    published_s = np.sort(rng.uniform(-12 * _HOUR_S, hours * _HOUR_S, int(20 * (hours + 12))))
    quality = rng.lognormal(0.0, 1.2, len(published_s))
    section = rng.integers(6, size=len(published_s))
    evergreen = rng.random(len(published_s)) < 0.02
    likes = rng.integers(6, size=n_events // 8)
    events = []
    for number, second in enumerate(np.sort(rng.uniform(0, hours * _HOUR_S, n_events))):
        user = int(rng.integers(len(likes)))
        age_s = second - published_s
        weight = np.where(age_s >= 0, quality * 0.5 ** (np.maximum(age_s, 0) / (2 * _HOUR_S)), 0)
        if rng.random() < 0.1:
            weight = evergreen * (age_s >= 0) + 1e-12
        elif rng.random() < 0.5:
            weight = weight * (section == likes[user]) + 1e-12 * (age_s >= 0)
        item = int(rng.choice(len(weight), p=weight / weight.sum()))
        events.append(
            Event(
                event_id=f"e{number}",
                type="click",
                user_id=f"u{user}",
                item_id=f"article-{item}",
                ts_ms=START_MS + int(second * 1000),
            )
        )
    items = [
        Item(
            item_id=f"article-{item}",
            categories=[f"section-{section[item]}"],
            created_ts_ms=START_MS + int(published_s[item] * 1000),
        )
        for item in range(len(published_s))
    ]
    return events, items


def measure(
    name: str, events: list[Event], items: list[Item], requests: int, settings: Settings
) -> dict[str, Any]:
    """Return the share of the next visits that each list held in its first 20."""
    log = build_log(events, items)
    numbering = Numbering(log)
    others = [
        Ranked(f"recent-popular-{window}", numbering, Popular(numbering.log, window), AnyOrder())
        for window in WINDOWS
    ]
    judge = Judge(name, log, events, settings, None, others, Plan(requests=requests, slates=0))
    outcome = judge.run()
    hits = {each: outcome.ranks(each) >= 0 for each in outcome.lists}
    sources = {each: hit.mean() for each, hit in hits.items() if each.startswith("source ")}
    best = max((each for each in sources if each != FUSION), key=sources.__getitem__)
    difference = hits[PRODUCT].astype(float) - hits[best]
    figures = {each: round(float(hit.mean()), 4) for each, hit in hits.items()}
    return {
        "log": name,
        "requests": len(outcome.events),
        "blend": figures[PRODUCT],
        "fixed": figures[FUSION],
        "best_source": best,
        "best_source_rate": figures[best],
        "blend_over_fixed": round(figures[PRODUCT] / max(figures[FUSION], 1e-9) - 1, 4),
        "blend_less_best_source": round(float(difference.mean()), 4),
        "standard_error": round(float(difference.std() / np.sqrt(len(difference))), 4),
        "hit_rates": figures,
    }


@click.command()
@click.argument("logs", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--requests", default=4_000, help="Most requests of a log.")
@click.option("--events", default=40_000, help="Events of a log that are read, from its start.")
@click.option("--seed", default=0, help="Of the generated log.")
def main(logs: tuple[Path, ...], requests: int, events: int, seed: int) -> None:
    """Compare the orders without a ranker on LOGS, or on a generated log of news."""
    found = []
    for path in logs:
        read = sorted(read_events(path), key=lambda event: event.ts_ms)[:events]
        beside = items_file_of(path)
        items = read_items(beside) if beside else []
        found.append(measure(log_name(path), read, items, requests, Settings()))
    if not logs:
        found.append(
            measure("news", *news_log(min(events, 20_000), seed=seed), requests, Settings())
        )
    for each in found:
        _show(each)
    click.echo(json.dumps({each["log"]: each for each in found}))


def _show(found: dict[str, Any]) -> None:
    table = Table(title=f"{found['log']}: {found['requests']:,} requests", title_justify="left")
    table.add_column("list")
    table.add_column("hit rate @20", justify="right")
    for name, rate in sorted(found["hit_rates"].items(), key=lambda each: -each[1]):
        table.add_row(name, f"{rate:.4f}", style="bold" if name == PRODUCT else None)
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
