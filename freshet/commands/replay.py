"""`freshet replay`: play a recorded log into a running installation."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import click
import msgspec

from freshet.core.address import http_url
from freshet.core.errors import FreshetError
from freshet.core.settings import Settings, load_settings


@click.command("replay")
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--items",
    "items_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The catalogue, published first. X.items.jsonl[.gz] beside X.events.jsonl[.gz] is found "
    "without asking; without any, each item gets a bare entry when it is first seen.",
)
@click.option(
    "--speed",
    default="1",
    show_default=True,
    metavar="N|max",
    help="Seconds of the log in a second of the wall; max = as fast as the folds take it.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Play only so many events.")
@click.option(
    "--target",
    type=click.Choice(["kafka", "http"]),
    default="kafka",
    show_default=True,
    help="Straight into Kafka, or as a website would.",
)
@click.option("--url", help="Of the server, for --target http; http_port of the settings.")
@click.option("--append", is_flag=True, help="Play into a namespace that already has events.")
@click.option(
    "--check-state",
    is_flag=True,
    help="Live the log twice on backends of its own, the second time in other batch sizes and "
    "with workers killed on the way, and compare the hashes of the whole state.",
)
def command(
    log: Path,
    *,
    items_file: Path | None,
    speed: str,
    limit: int | None,
    target: str,
    url: str | None,
    append: bool,
    check_state: bool,
) -> None:
    """Play LOG, a file of JSON lines (plain or gzip), keeping its event time.

    Rows are events as on Kafka (event_id, type, user_id, item_id, ts_ms) or of a few other shapes
    (`ts` for ts_ms, no event_id, impressions with a click column). The replay never runs further
    ahead of the workers than a small broker can hold. The last line on standard output is JSON.

    \b
    Examples:
      freshet replay films.events.jsonl.gz --speed max
      freshet replay films.events.jsonl.gz --speed 3600 --target http
      freshet replay films.events.jsonl.gz --check-state
    """
    from freshet.core.events.recorded import items_file_of
    from replay.timeline import parse_speed

    try:
        times = parse_speed(speed)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    items_file = items_file or items_file_of(log)
    if check_state:
        from freshet.commands.check_state import check_state as check

        verdict = check(log, items_file, limit=limit, speed=times)
        _print_json(verdict)
        sys.exit(0 if verdict["equal"] else 1)
    settings = load_settings()
    url = url or http_url(settings.http_host, settings.http_port)
    _print_json(
        _replay(
            settings,
            log,
            items_file,
            speed=times,
            limit=limit,
            http_url=url if target == "http" else None,
            append=append,
        )
    )


def _replay(
    settings: Settings,
    log: Path,
    items_file: Path | None,
    *,
    speed: float,
    limit: int | None,
    http_url: str | None,
    append: bool,
) -> dict[str, object]:
    """Play a log and return the figures."""
    from freshet.core.events.cluster import discover_partitions
    from freshet.core.events.recorded import (
        ReadReport,
        count_rows,
        log_name,
        read_events,
        read_items,
    )
    from freshet.core.progress import ProgressReader
    from replay.pacing import Pacer
    from replay.play import Player
    from replay.progress_bar import ReplayBar
    from replay.targets.http import HttpTarget
    from replay.targets.kafka import KafkaTarget

    partitions = discover_partitions(settings)
    report, item_report = ReadReport(), ReadReport()
    items = read_items(items_file, item_report) if items_file else None
    with ExitStack() as stack:
        reader = stack.enter_context(ProgressReader(settings, partitions))
        before = reader.read("users")
        if before.ends.any() and not append:
            raise FreshetError(
                f"namespace {settings.namespace!r} already has {int(before.ends.sum()):,} events; "
                "a replay into it would mix two histories. Use another FRESHET_NAMESPACE, or "
                "--append when that is what you want"
            )
        target: HttpTarget | KafkaTarget = (
            HttpTarget(http_url)
            if http_url
            else KafkaTarget(settings.kafka_bootstrap, settings.namespace, partitions)
        )
        stack.callback(target.close)
        total = min(count_rows(log), limit or sys.maxsize)
        bar = stack.enter_context(ReplayBar(log_name(log), total))
        player = Player(target, Pacer(reader), bar)
        played = player.play(islice(read_events(log, report), limit), items, speed=speed)
        after = reader.read("users")
    for path, found in ((log, report), (items_file, item_report)):
        if path and found.bad_rows:
            click.echo(found.describe(path), err=True)
    moved = {
        name: int((after.total(name) - before.total(name)).sum())
        for name in ("applied", "duplicates", "rejected")
    }
    return {
        "log": str(log),
        "events": played.events,
        "items": played.items,
        "seconds": round(played.seconds, 3),
        "events_per_s": round(played.events_per_s, 1),
        **moved,
        "bad_rows": report.bad_rows + item_report.bad_rows,
        "copies_dropped": report.duplicates,
    }


def _print_json(figures: dict[str, object]) -> None:
    click.echo(msgspec.json.encode(figures).decode())
