"""What both demos are made of: playing the log, and training beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from freshet.commands.processes import VERB, require_running
from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.schema import Event, Item
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings, environment_of
from freshet.embedded.child import Child
from replay.pacing import Pacer
from replay.play import Played, Player
from replay.progress_bar import ReplayBar
from replay.targets.kafka import KafkaTarget


class Training:
    """A quick `freshet train` in a process of its own.

    Args:
        log: events to learn from; its items file lies beside it.
        settings: name the folder of the bundles.
        output: where its output goes.
        polite: leave the processor to whoever else wants it.
    """

    def __init__(self, log: Path, settings: Settings, *, output: Path, polite: bool) -> None:
        self._child = Child(
            "training",
            [*(["nice", "-n", "10"] if polite else []), *VERB, "train", str(log), "--quick"],
            log=output,
            environment=environment_of(settings),
        )

    def finished(self) -> bool:
        """Return whether a bundle was published.

        Raises:
            ServiceError: it failed; holds the end of its output.
        """
        if self._child.running:
            return False
        if self._child.process.returncode:
            require_running([self._child])
        return True

    def wait(self, timeout_s: float) -> None:
        """Wait until a bundle is published.

        Raises:
            ServiceError: it failed or took too long.
        """
        try:
            self._child.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ServiceError("training", f"not done within {timeout_s:.0f} s") from error
        self.finished()

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()


def play_log(
    settings: Settings, events: Iterable[Event], items: Sequence[Item], *, total: int
) -> Played:
    """Play events as fast as the folds take them, the catalogue first."""
    partitions = discover_partitions(settings)
    target = KafkaTarget(settings, settings.namespace, partitions)
    try:
        with ProgressReader(settings, partitions) as reader, ReplayBar("replay", total) as bar:
            return Player(target, Pacer(reader), bar).play(events, items, speed=float("inf"))
    finally:
        target.close()
