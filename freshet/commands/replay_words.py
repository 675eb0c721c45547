"""What `freshet replay` says to a person: of times far apart, and of what was not taken."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
import httpx

from freshet.core.clock import system_clock
from freshet.core.progress import FoldProgress
from replay.course import Course, Keeper
from replay.log_times import age_warning, watermark_warning
from replay.play import Played

LOOK_S: Final = 1.0


def warn(first_ts_ms: int, last_ts_ms: int, users: FoldProgress, url: str) -> None:
    """Say where the times of the log are far from those of today or of the namespace."""
    watermark = int(users.total("watermark_ts_ms").max(initial=0))
    warnings = (
        age_warning(last_ts_ms, system_clock(), server=_answers(url)),
        watermark_warning(first_ts_ms, last_ts_ms, watermark),
    )
    for warning in filter(None, warnings):
        click.echo(f"WARNING: {warning}", err=True)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=LOOK_S).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def say_what_came(
    log: Path,
    played: Played,
    moved: dict[str, int],
    course: Course,
    keeper: Keeper,
) -> None:
    """Say what a person must not overlook."""
    sentences = []
    if played.refused:
        at, reason = played.refusals[0]
        sentences.append(
            f"{played.refused:,} events were not taken; the first is line {course.line_of(at)}: "
            f"{reason}"
        )
    if played.refused_items:
        sentences.append(f"{played.refused_items:,} items of the catalogue were not taken")
    if moved["duplicates"]:
        sentences.append(
            f"{moved['duplicates']:,} of {played.events:,} events were DROPPED as copies: the "
            "state had their ids already"
        )
    if moved["rejected"]:
        sentences.append(
            f"{moved['rejected']:,} events were rejected by the workers; `freshet dlq ls` says why"
        )
    for sentence in sentences:
        click.echo(f"WARNING: {sentence}", err=True)
    if not keeper.finished:
        say_how_to_go_on(log, keeper)


def say_how_to_go_on(log: Path, keeper: Keeper) -> None:
    """Say how far it came, and how to go on."""
    last = keeper.last
    if last is None:
        click.echo("nothing was sent", err=True)
        return
    click.echo(
        f"ended behind line {last.line:,} of {log.name}, with {last.done:,} events in Kafka for "
        f"good; `freshet replay {log} --resume` goes on from there",
        err=True,
    )
