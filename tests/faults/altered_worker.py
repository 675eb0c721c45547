"""A worker that is not quite ours: one with a bug in its fold, or one of the next version.

Run as a program, it takes the place of `freshet worker`, supervisor and all.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any

from freshet.core.logging import configure_logging
from freshet.core.settings import Settings, environment_of, load_settings
from freshet.embedded.child import Child


class PlantedError(Exception):
    """What the fold stumbles over."""


def start_buggy_worker(settings: Settings, *, log: Path, budget: Path, bugs: int) -> Child:
    """Start a worker whose fold fails in the second round of each of its first `bugs` lives.

    Args:
        settings: of the installation.
        log: where its output goes.
        budget: a file that counts the bugs which are left.
        bugs: how many.
    """
    budget.write_text(str(bugs))
    return _start(settings, log, "--bugs", str(budget))


def start_next_version(settings: Settings, *, log: Path) -> Child:
    """Start a worker with other Redis scripts: they do the same, under other names."""
    return _start(settings, log, "--next-version")


def _start(settings: Settings, log: Path, *options: str) -> Child:
    command = [sys.executable, "-P", __file__, *options]
    return Child("altered worker", command, log=log, environment=environment_of(settings))


def _plant_bugs(budget: Path) -> None:
    from streams.user_shell import UserShell

    fold: Any = UserShell._fold
    rounds = itertools.count(1)

    def stumbling(self: Any, batches: Any) -> Any:
        left = int(budget.read_text())
        if next(rounds) == 2 and left:
            budget.write_text(str(left - 1))
            raise PlantedError(f"{left} left")
        return fold(self, batches)

    UserShell._fold = stumbling  # type: ignore[method-assign]


def _become_the_next_version() -> None:
    from redis.commands.core import AsyncScriptCommands  # clients of both kinds are heirs of it

    register: Any = AsyncScriptCommands.register_script

    def registered(self: Any, script: str) -> Any:
        return register(self, script + "\n-- of the next version")

    AsyncScriptCommands.register_script = registered  # type: ignore[method-assign]


def main() -> None:
    """Supervise, or be the worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bugs", type=Path)
    parser.add_argument("--next-version", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--instance-id")
    chosen = parser.parse_args()
    settings = load_settings()
    if not chosen.alone:
        from streams.supervisor import supervise

        configure_logging("supervisor", settings.log_level)
        again = [sys.executable, "-P", *sys.argv, "--alone", "--instance-id", "altered-worker"]
        sys.exit(supervise(again, shutdown_s=settings.shutdown_s))
    from streams.worker import run_worker

    configure_logging("worker", settings.log_level)
    if chosen.bugs:
        _plant_bugs(chosen.bugs)
    if chosen.next_version:
        _become_the_next_version()
    run_worker(settings, chosen.instance_id)


if __name__ == "__main__":
    main()
