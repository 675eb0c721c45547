"""`freshet dlq`: the records that could not be applied, and another try for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
import msgspec

from freshet.commands.duration import Duration, duration_text
from freshet.core.clock import system_clock
from freshet.core.errors import EventError, FreshetError
from freshet.core.settings import load_settings

if TYPE_CHECKING:
    from freshet.core.events.dead_letter import DeadLetter

_REASON = click.option("--reason", help="Only those with this reason.")
_SINCE = click.option("--since", type=Duration(), help="Only the newest: 90s, 15m, 1h, 7d.")
_REFUSALS_SHOWN = 20


@click.group("dlq")
def command() -> None:
    """List, show, send again or dismiss the records that could not be applied.

    A worker that cannot apply a record puts it into the topic `<namespace>.dead-letters`, with its
    place and the reason in the headers, and goes on. The place is written TOPIC-PARTITION-OFFSET.

    \b
    Examples:
      freshet dlq ls --since 1h
      freshet dlq show freshet.events-3-1812
      freshet dlq replay --reason wrong_partition --dry-run
    """


@command.command("ls")
@_REASON
@_SINCE
@click.option("--limit", default=20, show_default=True, help="Most that the table shows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all of them.")
def list_letters(reason: str | None, since: float | None, limit: int, as_json: bool) -> None:
    """Count the dead letters by reason and list them, newest first.

    A letter that was written twice counts once. "sent again" means by `freshet dlq replay`.
    """
    from freshet.core.events.cluster import existing_partitions
    from freshet.core.events.dead_letter_log import DeadLetterLog

    settings = load_settings()
    now_ms = system_clock()
    chosen = _choice(reason, since, now_ms)
    rows: dict[str, dict[str, Any]] = {}
    replayed = set()
    with DeadLetterLog(settings, existing_partitions(settings)) as log:
        for letter in log.letters():
            place = str(letter.origin)
            if letter.replayed:
                replayed.add(place)
            elif chosen(letter):
                rows.setdefault(place, _row(letter, now_ms))
        strange = log.strange
    listed = sorted(rows.values(), key=lambda row: -row["ts_ms"])
    for row in listed:
        row["replayed"] = row["place"] in replayed
    if as_json:
        found = {"letters": len(listed), "by_reason": Counter(row["reason"] for row in listed)}
        click.echo(msgspec.json.encode(found | {"strange": strange, "listed": listed}))
        return
    _print_list(listed, limit)
    if strange:
        click.echo(f"{strange} records of the topic are no dead letters", err=True)


@command.command("show")
@click.argument("place", metavar="TOPIC-PARTITION-OFFSET")
def show(place: str) -> None:
    """Print the headers and the value of the record that stood at a place.

    \b
    Example:
      freshet dlq show freshet.events-3-1812
    """
    from freshet.core.events.cluster import existing_partitions
    from freshet.core.events.dead_letter import Origin
    from freshet.core.events.dead_letter_log import DeadLetterLog

    try:
        origin = Origin.parse(place)
    except EventError as error:
        raise click.BadParameter(error.detail) from error
    settings = load_settings()
    partitions = existing_partitions(settings)
    found = None
    replayed = False
    if origin.partition < partitions:  # a letter lies in the partition number of its record
        with DeadLetterLog(settings, partitions) as log:
            for letter in log.letters(origin.partition):
                if letter.origin == origin:
                    replayed |= letter.replayed
                    found = found or letter
    if found is None:
        raise FreshetError(
            f"no dead letter of {origin}; `freshet dlq ls` lists those that there are"
        )
    _print_letter(found, replayed=replayed)


@command.command("replay")
@_REASON
@_SINCE
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
def replay(reason: str | None, since: float | None, dry_run: bool) -> None:
    """Send dead letters back to their topic, to the partition of their key.

    For what has been mended since: a worker that knows the type, a clock that was ahead, a producer
    with another partitioner. Key and value are the record's own, so an event keeps its id and
    counts once. What fails again becomes a letter of its own; what was sent is not sent by the next
    `replay`, and nothing that comes while it runs is touched.

    The exit code is 1 when a letter that was asked for cannot be sent.

    \b
    Example:
      freshet dlq replay --reason unknown_type --since 1d
    """
    from freshet.commands.redelivery import redeliver
    from freshet.core.events.cluster import existing_partitions
    from freshet.core.events.dead_letter_log import DeadLetterLog
    from freshet.core.events.producer import EventProducer
    from freshet.core.events.topics import Topics

    settings = load_settings()
    partitions = existing_partitions(settings)
    chosen = _choice(reason, since, system_clock())
    topics = Topics(settings.namespace)
    with (
        DeadLetterLog(settings, partitions) as log,
        closing(EventProducer(settings, linger_ms=5)) as producer,
    ):
        outcome = redeliver(log, None if dry_run else producer, topics, partitions, chosen)
    would = "would send" if dry_run else "sent"
    reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(outcome.sent.items()))
    click.echo(f"{would} {outcome.sent.total():,} again{': ' if reasons else ''}{reasons}")
    for origin, why in outcome.refused[:_REFUSALS_SHOWN]:
        click.echo(f"refused {origin}: {why}", err=True)
    if outcome.refused:
        raise FreshetError(f"{len(outcome.refused):,} letters cannot be sent again, see above")


@command.command("dismiss")
@_REASON
@_SINCE
def dismiss(reason: str | None, since: float | None) -> None:
    """Let dead letters rest: they are neither sent again nor waited for.

    For what can never be applied. The letters stay on their topic as long as it keeps them, and
    `ls` and `show` still find them, as if they had been sent again.

    \b
    Example:
      freshet dlq dismiss --reason undecodable
    """
    from freshet.commands.redelivery import dismiss as dismiss_letters
    from freshet.core.events.cluster import existing_partitions
    from freshet.core.events.dead_letter_log import DeadLetterLog
    from freshet.core.events.producer import EventProducer
    from freshet.core.events.topics import Topics

    settings = load_settings()
    partitions = existing_partitions(settings)
    chosen = _choice(reason, since, system_clock())
    with (
        DeadLetterLog(settings, partitions) as log,
        closing(EventProducer(settings, linger_ms=5)) as producer,
    ):
        counts = dismiss_letters(log, producer, Topics(settings.namespace), chosen)
    reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    click.echo(f"dismissed {counts.total():,}{': ' if reasons else ''}{reasons}")


def _choice(reason: str | None, since_s: float | None, now_ms: int) -> Callable[[DeadLetter], bool]:
    oldest_ms = now_ms - since_s * 1000 if since_s is not None else 0
    return lambda letter: reason in (None, letter.reason) and letter.ts_ms >= oldest_ms


def _row(letter: DeadLetter, now_ms: int) -> dict[str, Any]:
    """Return what a list says of a letter."""
    return {
        "place": str(letter.origin),
        **letter.origin._asdict(),
        "reason": letter.reason,
        "detail": letter.detail,
        "ts_ms": letter.ts_ms,
        "age_s": round(max(now_ms - letter.ts_ms, 0) / 1000, 1),
    }


def _print_list(rows: list[dict[str, Any]], limit: int) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        click.echo("no dead letters")
        return
    counts = Table("reason", "letters", "sent again", box=None, pad_edge=False)
    sent = Counter(row["reason"] for row in rows if row["replayed"])
    for reason, count in Counter(row["reason"] for row in rows).most_common():
        counts.add_row(reason, f"{count:,}", f"{sent[reason]:,}")
    table = Table("topic", "partition", "offset", "reason", "age", "sent again", box=None,
                  pad_edge=False)  # fmt: skip
    for row in rows[:limit]:
        table.add_row(row["topic"], str(row["partition"]), str(row["offset"]), row["reason"],
                      duration_text(row["age_s"]), "yes" if row["replayed"] else "")  # fmt: skip
    console = Console(markup=False, highlight=False)  # reasons and topics are what was found
    console.print(counts)
    console.print()
    console.print(table)
    if len(rows) > limit:
        console.print(f"and {len(rows) - limit:,} older; --limit shows more")


def _print_letter(letter: DeadLetter, *, replayed: bool) -> None:
    age = duration_text((system_clock() - letter.ts_ms) / 1000)
    lines = {
        "topic": letter.origin.topic,
        "partition": letter.origin.partition,
        "offset": letter.origin.offset,
        "reason": letter.reason,
        "detail": _text(letter.detail.encode()),
        "written": f"{age} ago",
        "sent again": "yes" if replayed else "no",
        "key": _text(letter.key),
        **{f"{part} cut": f"it had {size:,} bytes" for part, size in letter.cut.items()},
    }
    for name, value in lines.items():
        click.echo(f"{name:<11} {value}")
    click.echo(f"\n{_text(letter.value)}")


def _text(raw: bytes | None) -> str:
    """Return bytes as text, escaped where they are none or would steer a terminal."""
    if raw is None:
        return "(none)"
    text = raw.decode(errors="backslashreplace")
    return "".join(
        each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text
    )
