"""`freshet train --follow`: a ranker that learns from what people do with the answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from freshet.commands.duration import SECONDS
from freshet.commands.stopping import asked_to_stop
from freshet.core.clock import system_clock
from freshet.core.settings import Settings

if TYPE_CHECKING:
    from freshet.core.events.example_log import ExampleLog
    from online_models.training.follow import Decision, Follower

POLL_S = 0.5
CHECKPOINT_S = 60.0
SHOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Cadence:
    """After so many examples or so many seconds; the other is None."""

    examples: int | None = None
    seconds: float | None = None


class CadenceType(click.ParamType):
    """An option that takes a number of examples, or a duration."""

    name = "examples|duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Cadence:
        """Return what is meant.

        >>> CadenceType().convert("5m", None, None)
        Cadence(examples=None, seconds=300.0)
        >>> CadenceType().convert("2000", None, None)
        Cadence(examples=2000, seconds=None)
        """
        if isinstance(value, Cadence):
            return value
        found = re.fullmatch(r"([1-9]\d*)([smhd]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is neither; write 2000 (examples), or 90s, 5m, 1h", param, ctx)
        number, unit = int(found[1]), found[2]
        return Cadence(seconds=number * SECONDS[unit] * 1.0) if unit else Cadence(examples=number)


def follow(
    settings: Settings, *, publish_every: Cadence, stop_after: int | None, as_json: bool
) -> None:
    """Learn and publish until a signal comes, or so many examples were learned.

    Args:
        settings: of the installation.
        publish_every: how often a candidate is judged.
        stop_after: examples to learn in this life, None for no end.
        as_json: print each decision as a line of JSON.

    Raises:
        BundleError: no bundle is in use.
        CheckpointError: another process learns, or the checkpoint is damaged.
        ServiceError: Kafka does not answer.
    """
    import torch

    from freshet.core.events.cluster import existing_partitions
    from freshet.core.events.example_log import ExampleLog
    from online_models.artifacts.registry import Registry
    from online_models.training.checkpoint import only_one
    from online_models.training.follow import Follower
    from online_models.training.gate import GateRules
    from online_models.training.stream_learner import FollowOptions

    torch.set_num_threads(1)  # the other core is for those who wait for an answer
    registry = Registry.of(settings)
    checkpoint = Path(settings.models_dir) / f".follow-{settings.namespace}.checkpoint"
    partitions = existing_partitions(settings)
    # A mini-batch is finished, then the state is kept.
    with only_one(checkpoint), asked_to_stop() as stopped:
        follower = Follower(
            registry, checkpoint, options=FollowOptions(), rules=GateRules(), clock=system_clock
        )
        with ExampleLog(settings, partitions, follower.learner.positions) as log:
            tell = _decision_printer(as_json=as_json)
            life = _Life(follower, log, publish_every, stop_after, tell)
            with _progress_line(life) as show:
                while not (stopped() or life.over):
                    life.step()
                    show()
            life.end()


class _Life:
    """One life of a follower: reads, learns, and does what is due."""

    def __init__(
        self,
        follower: Follower,
        log: ExampleLog,
        publish_every: Cadence,
        stop_after: int | None,
        tell: Callable[[Decision], None],
    ) -> None:
        self.follower = follower
        self.log = log
        self._every = publish_every
        self._tell = tell
        self._stop_at = None if stop_after is None else self.learned + stop_after
        self._published_at = (self.learned, time.monotonic())
        self._saved_s = time.monotonic()

    @property
    def learned(self) -> int:
        """Examples that were learned, in all lives."""
        return self.follower.learner.counts["learned"]

    @property
    def over(self) -> bool:
        """Whether as much was learned as was asked for."""
        return self._stop_at is not None and self.learned >= self._stop_at

    def step(self) -> None:
        """Learn what has come, and publish and save if it is time."""
        for logged in self.log.poll(POLL_S):
            if self.over:
                return  # the next life reads it again
            self.follower.take(logged)
            if self._is_due():
                self._publish()
        if self._is_due():
            self._publish()
        if time.monotonic() - self._saved_s >= CHECKPOINT_S:
            self._save()

    def end(self) -> None:
        """Judge a last candidate where examples set the pace, and save."""
        if self._every.examples and self.learned > self._published_at[0]:
            self._publish()
        self._save()

    def _is_due(self) -> bool:
        examples, since_s = self._published_at
        if self.learned == examples:
            return False  # nothing new to say
        if self._every.examples is not None:
            return self.learned - examples >= self._every.examples
        return time.monotonic() - since_s >= (self._every.seconds or 0)

    def _publish(self) -> None:
        self._published_at = (self.learned, time.monotonic())
        decision = self.follower.publish()
        if decision is not None:
            self._tell(decision)

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        self.follower.save()


def _decision_printer(*, as_json: bool) -> Callable[[Decision], None]:
    from rich.console import Console

    if as_json:
        return lambda decision: click.echo(msgspec.json.encode(decision))
    console = Console(stderr=True)

    def tell(decision: Decision) -> None:
        figures = decision.figures
        losses = ""
        if "log_loss_as_it_stands" in figures:
            losses = (
                f", log loss {figures['log_loss_as_it_stands']:.4f} "
                f"(in use before: {figures['log_loss_in_use']:.4f})"
            )
        words = {
            "published": f"published {decision.version}{losses}",
            "refused": f"refused, {decision.version} stays: {'; '.join(decision.reasons)}",
            "began_anew": f"{decision.version} has come into use; learning begins anew from it",
        }
        console.print(f"after {decision.examples:,} examples: {words[decision.event]}")

    return tell


@contextmanager
def _progress_line(life: _Life) -> Iterator[Callable[[], None]]:
    """Yield what shows how far learning has come, on one line of the terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    shown_s = 0.0
    with console.status("waiting for examples") as status:

        def show() -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s >= SHOWN_S:
                shown_s = time.monotonic()
                status.update(progress_text(life.follower, life.log))

        yield show


def progress_text(follower: Follower, log: ExampleLog) -> str:
    """Return one line on what was learned, what waits, and what became of it."""
    counts = follower.learner.counts
    parts = [
        f"{counts['learned']:,} examples learned",
        f"{log.behind():,} waiting",
        f"{follower.published:,} published",
        f"{follower.refused:,} refused",
    ]
    unused = {
        "of no use": counts["unusable"] + log.strange,
        "skipped": counts["skipped"],
        "lost": log.lost,
    }
    return ", ".join(parts + [f"{count:,} {what}" for what, count in unused.items() if count])
