"""`freshet replay`: play a recorded log into a running installation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from freshet.commands.moment import Moment
from freshet.commands.stopping import stop_signals
from freshet.core.address import http_url
from freshet.core.settings import load_settings

_FIXED = ("speed", "target", "sort", "from_ms", "to_ms", "limit", "shift")


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
@click.option("--limit", type=click.IntRange(min=1), default=None, help="Play only so many events.")
@click.option("--from", "from_ms", type=Moment(), help="Play no older events; ISO time or ms.")
@click.option("--to", "to_ms", type=Moment(), help="Play only older events; ISO time or ms.")
@click.option("--sort", is_flag=True, help="Sort a log whose rows are out of the order of time.")
@click.option(
    "--shift-to-now",
    "shift",
    is_flag=True,
    help="Move all times, of the catalogue too, so that the log ends now.",
)
@click.option(
    "--target",
    type=click.Choice(["kafka", "http"]),
    default="kafka",
    show_default=True,
    help="Straight into Kafka, or as a website would.",
)
@click.option("--url", help="Of the server, for --target http; http_port of the settings.")
@click.option(
    "--append",
    is_flag=True,
    help="Play into a namespace that already has events. What was played before counts again, but "
    "for ids among the last few of a user.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where a replay of this log was interrupted; nothing is skipped or sent twice.",
)
@click.option(
    "--check-state",
    is_flag=True,
    help="Live the log twice on backends of its own, the second time in other batch sizes and "
    "with workers killed on the way, and compare the hashes of the whole state.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    log: Path,
    items_file: Path | None,
    speed: str,
    limit: int | None,
    from_ms: int | None,
    to_ms: int | None,
    sort: bool,
    shift: bool,
    target: str,
    url: str | None,
    append: bool,
    resume: bool,
    check_state: bool,
) -> None:
    """Play LOG, a file of JSON lines (plain or gzip), keeping its event time.

    Rows are events as on Kafka (event_id, type, user_id, item_id, ts_ms) or of a few other shapes
    (`ts` for ts_ms, no event_id, impressions with a click column). The file is judged first: bad
    rows and copies are named and left out, and a log out of the order of time is refused or
    sorted. The replay never runs further ahead of the workers than a small broker can hold. The
    last line on standard output is JSON.

    Ctrl-C ends it in order, with the row that it came to and exit code 130; --resume goes on.

    \b
    Examples:
      freshet replay films.events.jsonl.gz --speed max
      freshet replay old.events.jsonl.gz --speed max --shift-to-now
      freshet replay films.events.jsonl.gz --from 2025-11-24 --to 2025-11-25
      freshet replay films.events.jsonl.gz --speed 3600 --target http
      freshet replay films.events.jsonl.gz --resume
      freshet replay films.events.jsonl.gz --check-state
    """
    from freshet.commands.replay_session import Wanted, replay
    from replay.timeline import parse_speed

    try:
        times = parse_speed(speed)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if resume and append:
        raise click.UsageError("--resume knows where to go on; --append begins again: give one")
    if from_ms and to_ms and from_ms >= to_ms:
        raise click.UsageError("--from is not before --to")
    given = {name for name in _FIXED if ctx.get_parameter_source(name) != ParameterSource.DEFAULT}
    wanted = Wanted(
        log=log,
        items_file=items_file,
        speed=str(times),
        target=target,
        sort=sort,
        from_ms=from_ms or 0,
        to_ms=to_ms or 0,
        limit=limit or 0,
        shift=shift,
        append=append,
        resume=resume,
        given=frozenset(given),
    )
    with stop_signals() as stop:
        try:
            if check_state:
                from freshet.commands.check_state import check_state as check

                if shift or append or resume or target != "kafka":
                    raise click.UsageError("--check-state brings its own backends: LOG alone")
                verdict = check(log, items_file, part=wanted.part(), speed=times)
                _print_json(verdict)
                sys.exit(0 if verdict["equal"] else 1)
            settings = load_settings()
            url = url or http_url(settings.http_host, settings.http_port)
            figures, exit_code = replay(settings, wanted, url, stop)
        except KeyboardInterrupt:
            click.echo("interrupted; --resume goes on where something was sent", err=True)
            sys.exit(stop.exit_code)
    _print_json(figures)
    sys.exit(exit_code)


def _print_json(figures: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(figures).decode())
