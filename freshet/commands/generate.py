"""`freshet generate`: write a realistic log whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from freshet.commands.moment import Moment


@click.command("generate")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--world",
    type=click.Choice(["films", "shop"]),
    default="films",
    show_default=True,
    help="films: slates, tastes, titles. shop: many items that are ids alone, sessions of four.",
)
@click.option("--users", type=int, show_default="1000; shop 20000", help="People.")
@click.option(
    "--items",
    type=int,
    show_default="1000; shop 40000",
    help="Items; of films one in five appears late.",
)
@click.option("--days", type=float, show_default="7; shop 28", help="Length of the log in days.")
@click.option(
    "--seed", default=1, show_default=True, help="The same seed and --end write the same bytes."
)
@click.option(
    "--drift-at",
    default=0.6,
    show_default=True,
    help="When half of the people change their tastes, as a share of the time; 1 = never.",
)
@click.option(
    "--end",
    "end_ts_ms",
    type=Moment(),
    default="now",
    show_default=True,
    metavar="ISO-TIME|now",
    help="When the log ends, UTC; now keeps its trends fresh when it is replayed.",
)
def command(
    out: Path,
    *,
    world: str,
    users: int | None,
    items: int | None,
    days: float | None,
    seed: int,
    drift_at: float,
    end_ts_ms: int,
) -> None:
    """Write a realistic event log: sessions, slates, clicks, new items, a drift of tastes.

    Writes OUT.events.jsonl.gz, OUT.items.jsonl.gz (with readable titles) and OUT.truth.json (true
    tastes, click model, time of the drift, counts per person and item).

    \b
    Example: about 90,000 events, then through the whole system and trained on
      freshet generate .freshet/films --users 1000 --days 7
      freshet replay .freshet/films.events.jsonl.gz --speed max
      freshet train .freshet/films.events.jsonl.gz
    A shop of 40,000 items of which nothing is known but who looked at them, to be judged
      freshet generate .freshet/shop --world shop
      freshet eval .freshet/shop.events.jsonl.gz --requests 2000
    """
    from replay.generated_log import write_log
    from replay.shop_world import ShopPlan, write_shop_log
    from replay.world import Plan

    given = {"users": users, "items": items, "days": days}
    size: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        size |= {"seed": seed, "end_ts_ms": end_ts_ms}
        if world == "shop":
            shop = ShopPlan(**size)
            files, n_items = write_shop_log(shop, out), shop.items
        else:
            plan = Plan(**size, drift_at=drift_at)
            files, n_items = write_log(plan, out), plan.items
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{files.n_events:,} events  {files.events}")
    click.echo(f"{n_items:,} items  {files.items}")
    click.echo(f"the truth  {files.truth}")
