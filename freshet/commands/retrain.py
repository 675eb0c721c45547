"""`freshet train --every`: the whole training again and again, at even distances.

Each training is a process of its own. What it took of the memory is given back, and whatever ends
it, the bundle in use stays whole and the next one begins in its time.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
from msgspec import Struct

from freshet.commands.duration import duration_text
from freshet.commands.processes import VERB
from freshet.commands.stopping import asked_to_stop
from freshet.core.clock import Clock, system_clock
from freshet.core.errors import BundleError
from freshet.core.settings import Settings, environment_of
from freshet.embedded.child import Child

if TYPE_CHECKING:
    from online_models.artifacts.manifest import Manifest

POLL_S: Final = 0.2
STOP_S: Final = 30.0  # a training ends between two steps of its libraries
SHOWN: Final = "recall_at_20"


class Trained(Struct, frozen=True, kw_only=True):
    """What became of a training.

    Attributes:
        version: the bundle that it put in use, None where it failed.
        seconds: that it took.
        events: that it learned from.
        figures: of the ranker, on the last part of the log.
        figures_before: of the bundle that was in use, as measured when that one was trained.
        reason: why it failed.
        failed: trainings that failed so far.
    """

    ts_ms: int
    version: str | None = None
    seconds: float = 0.0
    events: int = 0
    figures: dict[str, float] = {}
    figures_before: dict[str, float] = {}
    reason: str = ""
    failed: int = 0

    def sentence(self) -> str:
        """Return one line on it.

        >>> Trained(ts_ms=0, seconds=3.2, reason="kafka: gone", failed=2).sentence()
        'training failed after 3 s, 2 so far: kafka: gone'
        """
        took = duration_text(self.seconds)
        if self.version is None:
            return f"training failed after {took}, {self.failed} so far: {self.reason}"
        return (
            f"bundle {self.version} is in use: {self.events:,} events, {took}, ranker "
            f"{SHOWN} {_shown(self.figures)}, before it {_shown(self.figures_before)}"
        )


def next_due_s(started_s: float, every_s: float, now_s: float) -> float:
    """Return the next moment at an even distance from the start; what was missed is not made up.

    >>> next_due_s(100.0, 60.0, 130.0), next_due_s(100.0, 60.0, 250.0)
    (160.0, 280.0)
    """
    return started_s + every_s * (math.floor((now_s - started_s) / every_s) + 1)


def retrain(settings: Settings, arguments: Sequence[str], *, every_s: float, as_json: bool) -> None:
    """Train at once and then at even distances, until a signal comes.

    Args:
        settings: of the installation.
        arguments: of `freshet train`, for each training.
        every_s: between the beginnings of two trainings.
        as_json: print a line of JSON for each training.
    """

    def tell(trained: Trained) -> None:
        click.echo(msgspec.json.encode(trained) if as_json else trained.sentence())

    with (
        tempfile.TemporaryDirectory(prefix="freshet-train-") as folder,
        asked_to_stop() as stopped,
    ):
        trainings = Trainings(settings, arguments, Path(folder), system_clock)
        due_s = started_s = time.monotonic()
        while not stopped():
            if time.monotonic() < due_s:
                time.sleep(POLL_S)
                continue
            due_s = next_due_s(started_s, every_s, time.monotonic())
            if (trained := trainings.train(stopped)) is not None:
                tell(trained)


@dataclass
class Trainings:
    """Trainings of an installation, one after the other.

    Attributes:
        settings: of the installation.
        arguments: of `freshet train`.
        folder: for what they print.
        clock: wall clock.
        failed: how many did.
    """

    settings: Settings
    arguments: Sequence[str]
    folder: Path
    clock: Clock
    failed: int = 0

    def train(self, stopped: Callable[[], bool]) -> Trained | None:
        """Train, and return what became of it; None when it was stopped on the way."""
        started_s = time.monotonic()
        output = self.folder / "output.log"
        output.unlink(missing_ok=True)
        child = Child(
            "training",
            [*VERB, "train", *self.arguments, "--json"],
            log=output,
            environment=environment_of(self.settings),
        )
        try:
            while child.running:
                if stopped():
                    return None
                time.sleep(POLL_S)
        finally:
            code = child.stop(STOP_S)
        seconds = time.monotonic() - started_s
        lines = output.read_text(errors="replace").splitlines() or ["it said nothing"]
        return self._trained(code, lines[-1], seconds)

    def _trained(self, code: int, last_line: str, seconds: float) -> Trained:
        """Return what a training came to.

        Args:
            code: its exit code, negative where a signal ended it.
            last_line: that it printed: the manifest, or why there is none.
            seconds: that it took.
        """
        from online_models.artifacts.manifest import Manifest

        if code:
            self.failed += 1
            reason = last_line if code > 0 else f"signal {-code} ended it; {last_line}"
            return Trained(ts_ms=self.clock(), seconds=seconds, reason=reason, failed=self.failed)
        made = msgspec.json.decode(last_line, type=Manifest)
        return Trained(
            ts_ms=self.clock(),
            version=made.version,
            seconds=seconds,
            events=made.metrics["log"]["events"],
            figures=_figures(made),
            figures_before=self._figures_of(made.parent),
            failed=self.failed,
        )

    def _figures_of(self, version: str | None) -> dict[str, float]:
        from online_models.artifacts.registry import Registry

        try:
            return _figures(Registry(self.settings.models_dir).manifest(version)) if version else {}
        except BundleError:  # a follower removes rankers that nobody will go back to
            return {}


def _figures(manifest: Manifest) -> dict[str, float]:
    from online_models.artifacts.figures import numbers

    return numbers(manifest.metrics, "test", "ranker")


def _shown(figures: dict[str, float]) -> str:
    return f"{figures[SHOWN]:.4f}" if SHOWN in figures else "unknown"
