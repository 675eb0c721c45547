"""One replay into a running installation: judged, warned of, played, and gone on with."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import click

from freshet.commands.replay_words import say_how_to_go_on, say_what_came, warn
from freshet.commands.stopping import Stop
from freshet.core.clock import system_clock
from freshet.core.errors import FreshetError, ServiceError
from freshet.core.events.cluster import cluster_id, discover_partitions, max_record_bytes
from freshet.core.events.recorded import Part, RecordedLog, open_log
from freshet.core.events.recorded.order import are_many
from freshet.core.progress import FoldProgress, ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from replay.already_sent import count_events, events_behind
from replay.checkpoint import Checkpoint, CheckpointFile, Plan, require_same
from replay.course import Course, Keeper
from replay.log_times import shift_to
from replay.pacing import Pacer
from replay.play import Played, Player
from replay.progress_bar import ReplayBar
from replay.targets.http import HttpTarget
from replay.targets.kafka import KafkaTarget

SETTLE_S: Final = 5.0  # what a killed replay had sent is in Kafka by then, or never
DRAIN_S: Final = 5.0  # how long an interrupted replay waits for the folds


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Attributes:
        speed: times faster than it was lived, as a text; `inf` = as fast as possible.
        target: `kafka` or `http`.
        shift: whether the log is to end now.
        given: names of the options that were given, and are not merely defaults.
    """

    log: Path
    items_file: Path | None
    speed: str
    target: str
    sort: bool
    from_ms: int
    to_ms: int
    limit: int
    shift: bool
    append: bool
    resume: bool
    given: frozenset[str]

    def part(self) -> Part:
        """Return the part of the log that is asked for, at its own times."""
        return Part(self.from_ms, self.to_ms, 0, self.limit, self.sort)

    def as_before(self, plan: Plan) -> Wanted:
        """Return what is meant where --resume stands for the options of before."""
        names = ("speed", "target", "sort", "from_ms", "to_ms", "limit", "shift")
        kept = {name: getattr(plan, name) for name in names if name not in self.given}
        return replace(self, **kept)


def replay(settings: Settings, wanted: Wanted, url: str, stop: Stop) -> tuple[dict[str, Any], int]:
    """Play a log and return the figures and the exit code.

    Args:
        settings: of the installation.
        wanted: what to play.
        url: of the server.
        stop: asked whether to end.

    Raises:
        FreshetError: the log, or going on with it, is refused; or a service failed.
    """
    file = CheckpointFile(settings.namespace, wanted.log)
    before = _interrupted(settings, wanted, file) if wanted.resume else None
    if before is not None:
        wanted = wanted.as_before(before.plan)
    log = open_log(wanted.log, wanted.items_file, part=wanted.part())
    for sentence in log.sentences():
        click.echo(sentence, err=True)
    partitions = discover_partitions(settings)
    plan = _plan(settings, wanted, log)
    total, first_ts_ms, last_ts_ms = log.extent()
    shift_ms = shift_to(last_ts_ms, system_clock()) if wanted.shift else 0
    if before is not None:
        require_same(before.plan, plan)
        shift_ms = before.shift_ms
    log = log.taken(replace(wanted.part(), shift_ms=shift_ms))
    with ProgressReader(settings, partitions) as reader:
        users = reader.read("users")
        if before is None and not wanted.append:
            _require_unused(settings, reader, file)
        warn(first_ts_ms + shift_ms, last_ts_ms + shift_ms, users, url)
        already: set[tuple[str, str]] = set()
        if before is not None and not before.finished:
            if not before.settled:
                _settle(stop)
            already = events_behind(settings, before.ends)
        course = Course(log, before.done if before else 0, already)
        keeper = Keeper(file, str(wanted.log.resolve()), plan, shift_ms, course, reader, before)
        played = _play(settings, wanted, url, log, course, keeper, reader, stop, total)
        after = reader.read("users")
    moved = _moved(users, after)
    say_what_came(wanted.log, played, moved, course, keeper)
    figures = _figures(wanted, log, played, moved, course, keeper, total)
    if figures["interrupted"]:
        return figures, stop.exit_code
    repeated = not wanted.resume and are_many(moved["duplicates"], played.events)
    return figures, 1 if repeated else 0


def _play(
    settings: Settings,
    wanted: Wanted,
    url: str,
    log: RecordedLog,
    course: Course,
    keeper: Keeper,
    reader: ProgressReader,
    stop: Stop,
    total: int,
) -> Played:
    """Play what is left of the log, as far as nobody asks for the end."""
    with ExitStack() as stack:
        target = _target(settings, wanted, url, reader.partitions)
        stack.callback(target.close)
        bar = stack.enter_context(ReplayBar(log.name, total - course.start))
        player = Player(target, Pacer(reader), bar, stop=stop, checkpoint=keeper.keep)
        items = log.items()
        stop.gently = True
        try:
            played = player.play(
                course.events(),
                [] if course.start and items is not None else items,
                speed=float(wanted.speed),
                known=course.known | (_catalogued(settings, reader) if items is None else set()),
            )
            if played.stopped and course.place(played.done) < total:
                keeper.settle()
                _drain(Pacer(reader))
            else:
                keeper.finish(total)
        except FreshetError:
            say_how_to_go_on(wanted.log, keeper)
            raise
        finally:
            stop.gently = False
    return played


def _catalogued(settings: Settings, reader: ProgressReader) -> set[str]:
    """Return the items that the catalogue offers: a bare entry would take their titles away."""
    with connect(settings) as client:
        return StateReader(client, settings.namespace, reader.partitions).catalogue_ids()


def _target(
    settings: Settings, wanted: Wanted, url: str, partitions: int
) -> HttpTarget | KafkaTarget:
    if wanted.target == "http":
        return HttpTarget(url)
    return KafkaTarget(settings, settings.namespace, partitions, max_record_bytes(settings))


def _figures(
    wanted: Wanted,
    log: RecordedLog,
    played: Played,
    moved: dict[str, int],
    course: Course,
    keeper: Keeper,
    total: int,
) -> dict[str, Any]:
    return {
        "log": str(wanted.log),
        "events": played.events,
        "items": played.items,
        "seconds": round(played.seconds, 3),
        "events_per_s": round(played.events_per_s, 1),
        **moved,
        "bad_rows": log.report.bad_rows + log.items_report.bad_rows,
        "copies_dropped": log.report.duplicates,
        "refused": played.refused,
        "refused_rows": [
            {"line": course.line_of(at), "reason": reason} for at, reason in played.refusals
        ],
        "refused_items": played.refused_items,
        "shift_ms": log.part.shift_ms,
        "interrupted": not keeper.finished,
        "line": keeper.line,
        "done": keeper.done,
        "of": total,
        "already_there": course.start + course.skipped,
        "read": log.summary(),
    }


def _plan(settings: Settings, wanted: Wanted, log: RecordedLog) -> Plan:
    return Plan(
        digest=log.report.digest,
        items_digest=log.items_report.digest,
        speed=wanted.speed,
        target=wanted.target,
        sort=wanted.sort,
        from_ms=wanted.from_ms,
        to_ms=wanted.to_ms,
        limit=wanted.limit,
        shift=wanted.shift,
        cluster=cluster_id(settings),
    )


def _interrupted(settings: Settings, wanted: Wanted, file: CheckpointFile) -> Checkpoint:
    """Return how far the interrupted replay came.

    Raises:
        FreshetError: there was none.
    """
    found = file.read()
    if found is None:
        raise FreshetError(
            f"no replay of {wanted.log} into namespace {settings.namespace!r} is noted in "
            f"{file.path.parent} of this folder; --resume goes on with an interrupted one, in the "
            "folder where it ran"
        )
    return found


def _require_unused(settings: Settings, reader: ProgressReader, file: CheckpointFile) -> None:
    """Refuse to mix two histories.

    Raises:
        FreshetError: the namespace has events.
    """
    events = count_events(settings, reader)
    if not events:
        return
    found = file.read()
    going_on = ""
    if found is not None and not found.finished and found.plan.cluster == cluster_id(settings):
        going_on = f"--resume, which goes on behind line {found.line:,} of this log, "
    raise FreshetError(
        f"namespace {settings.namespace!r} already has {events:,} events; a replay into it would "
        f"mix two histories. Use {going_on}another FRESHET_NAMESPACE, or --append when that is "
        "what you want"
    )


def _settle(stop: Stop) -> None:
    """Wait until nothing of a replay that was killed can still come in."""
    until_s = monotonic() + SETTLE_S
    while monotonic() < until_s and not stop():
        sleep(0.1)


def _drain(pacer: Pacer) -> None:
    until_s = monotonic() + DRAIN_S
    with suppress(ServiceError):
        pacer.wait_until_drained(lambda: monotonic() > until_s)


def _moved(before: FoldProgress, after: FoldProgress) -> dict[str, int]:
    return {
        name: int((after.total(name) - before.total(name)).sum())
        for name in ("applied", "duplicates", "rejected")
    }
