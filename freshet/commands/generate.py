"""`freshet generate`: write a realistic log whose truth is known."""

from __future__ import annotations

import time
from pathlib import Path

import click


@click.command("generate")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--users", default=1000, show_default=True, help="People.")
@click.option("--items", default=1000, show_default=True, help="Items; one in five appears late.")
@click.option("--days", default=7.0, show_default=True, help="Length of the log in days.")
@click.option("--seed", default=1, show_default=True, help="The same seed writes the same bytes.")
@click.option(
    "--drift-at",
    default=0.6,
    show_default=True,
    help="When half of the people change their tastes, as a share of the time; 1 = never.",
)
@click.option(
    "--end",
    default="2026-01-01",
    show_default=True,
    metavar="ISO-TIME|now",
    help="When the log ends, UTC.",
)
def command(
    out: Path, *, users: int, items: int, days: float, seed: int, drift_at: float, end: str
) -> None:
    """Write a realistic event log: sessions, slates, clicks, new items, a drift of tastes.

    Writes OUT.events.jsonl.gz, OUT.items.jsonl.gz (with readable titles) and OUT.truth.json (true
    tastes, click model, time of the drift, counts per person and item).

    \b
    Example: about 90,000 events, then through the whole system and trained on
      freshet generate .freshet/films --users 1000 --days 7
      freshet replay .freshet/films.events.jsonl.gz --speed max
      freshet train .freshet/films.events.jsonl.gz
    """
    from replay.generated_log import write_log
    from replay.world import Plan

    try:
        plan = Plan(
            users=users,
            items=items,
            days=days,
            seed=seed,
            drift_at=drift_at,
            end_ts_ms=_ts_ms(end),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    files = write_log(plan, out)
    click.echo(f"{files.n_events:,} events  {files.events}")
    click.echo(f"{items:,} items  {files.items}")
    click.echo(f"the truth  {files.truth}")


def _ts_ms(moment: str) -> int:
    """Return an ISO time in UTC, or `now`, in ms since the epoch."""
    from datetime import UTC, datetime

    if moment == "now":
        return time.time_ns() // 1_000_000
    parsed = datetime.fromisoformat(moment)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return int(parsed.timestamp() * 1000)
