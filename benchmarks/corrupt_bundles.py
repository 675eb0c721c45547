"""Wrong bundles beside a good one, before a server and a worker that run and watch the folder.

Each is put into use as a bad copy would do it: its folder is copied and `CURRENT` names it. It is
refused when server and worker both say why and go on with the good one. At the end both are started
again on the worst of them, and a click must still be folded and answered.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import httpx
import psutil

from benchmarks.wrong_bundles import files, items, manifests, models
from benchmarks.wrong_bundles.case import Case, reseal, write_good
from benchmarks.wrong_bundles.pointers import pointers
from freshet.commands.processes import Server, start_server, start_worker
from freshet.core.errors import BundleError
from freshet.core.settings import Settings
from freshet.embedded.broker import EmbeddedBroker
from freshet.embedded.child import Child
from freshet.embedded.redis import RedisServer
from online_models.artifacts.check import check_in_child
from online_models.artifacts.manifest import read_manifest
from online_models.artifacts.pointer import CURRENT
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import tiny_items

NAMES_FROM = "20261129T000000"
"""Versions of bundles whose manifest cannot be read are made up from here."""

WAIT_S = 90.0
POLL_S = 0.1
LOOK_S = 3.0


def all_cases() -> list[Case]:
    """Return every wrong bundle."""
    return [case for room in (files, manifests, items, models) for case in room.cases()]


@dataclass
class Tally:
    """What became of the wrong bundles."""

    cases: int = 0
    refused: int = 0
    server_ended: int = 0
    worker_stopped: int = 0
    accepted: list[str] = field(default_factory=list)

    def note(self, name: str, outcome: str) -> None:
        """Count one and say what became of it; an empty outcome is none."""
        self.cases += 1
        self.refused += bool(outcome)
        if not outcome:
            self.accepted.append(name)
        click.echo(f"{name}: {outcome or 'NOT REFUSED'}")


@click.command()
@click.option("--quick", is_flag=True, help="Run the check alone, without a server and a worker.")
@click.option("--only", default="", help="Cases whose name holds this.")
def main(quick: bool, only: str) -> None:
    """Put wrong bundles into use, one after the other, and say what became of each."""
    started_s = time.monotonic()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="freshet-wrong-") as name:
        folder = Path(name)
        for kind, seed in (("good", 0), ("other", 1)):
            write_good(folder / kind, seed=seed)
        cases = [case for case in all_cases() if only in case.name]
        (check_alone if quick else run_processes)(folder, cases, tally)
    figures = {
        "cases": tally.cases,
        "refused": tally.refused,
        "server_ended": tally.server_ended,
        "worker_stopped": tally.worker_stopped,
        "seconds": round(time.monotonic() - started_s),
        "load_average": os.getloadavg()[0],
    }
    click.echo(json.dumps(figures))
    wrong = tally.accepted or tally.server_ended or tally.worker_stopped
    raise SystemExit(1 if wrong else 0)


def check_alone(folder: Path, cases: list[Case], tally: Tally) -> None:
    """Ask the check what it says of each case."""
    for case in cases:
        wrong = _damaged(folder, case, folder / "wrong")
        try:
            check_in_child(wrong)
            tally.note(case.name, "")
        except BundleError as error:
            tally.note(case.name, error.reason)
        _remove(wrong)


def run_processes(folder: Path, cases: list[Case], tally: Tally) -> None:
    """Put each case before a server and a worker."""
    with _installation(folder) as place:
        place.act("ann")
        for number, case in enumerate(cases):
            place.put(_damaged(folder, case, folder / "wrong", number), _made_up(number))
            tally.note(case.name, place.outcome())
            place.count_ends(tally)
        for name, (make, words) in pointers().items():
            place.point(make)
            tally.note(f"CURRENT {name}", place.outcome_of_pointer(words))
            place.count_ends(tally)
        place.restart()
        place.act("bob")
        tally.note("CURRENT that a start finds", place.outcome_of_pointer(""))
        place.count_ends(tally)


class _Place:
    """A server and a worker that watch a folder of bundles.

    Args:
        settings: of both.
        logs: folder of their logs.
        good: the version that is in use from the start.
        stack: ends what was started.
    """

    def __init__(self, settings: Settings, logs: Path, good: str, stack: ExitStack) -> None:
        self._settings = settings
        self._models = Path(settings.models_dir)
        self._logs = logs
        self._good = good
        self._stack = stack
        self._start()

    def _start(self) -> None:
        log = self._logs / "worker.log"
        self._worker: Child = start_worker(self._settings, log=log)
        self._server: Server = start_server(self._settings, log=self._logs / "server.log")
        self._stack.callback(self._worker.stop)
        self._stack.callback(self._server.child.stop)
        _wait("the worker to start", lambda: len(self._below_supervisor()) == 1)
        self._folding = self._below_supervisor()[0]
        self._read_from = self._sizes()

    def restart(self) -> None:
        """End both and start them again, on whatever `CURRENT` is now."""
        self._server.child.stop()
        self._worker.stop()
        self._start()

    def put(self, wrong: Path, made_up: str) -> None:
        """Copy a bundle under its version, and name it."""
        try:
            version = read_manifest(wrong).version
        except BundleError:
            version = made_up
        target = self._models / version
        _remove(target)
        os.rename(wrong, target)  # what it leads to out of the folder stays where it is
        self.point(lambda path: path.write_text(f"{version}\n"))

    def point(self, make: Callable[[Path], object]) -> None:
        """Replace `CURRENT`, by a rename where it is a file."""
        self._read_from = self._sizes()
        _remove(self._models / CURRENT)
        make(self._models / CURRENT)

    def outcome(self) -> str:
        """Return the words with which server and worker refused it; none where one took it."""
        words: dict[str, str] = {}

        def both_said_why() -> bool:
            for name in ("server.log", "worker.log"):
                words.setdefault(name, "")
                words[name] = words[name] or self._refusal(name)
            return all(words.values()) or not self._alive()

        _wait("a refusal", both_said_why, required=False)
        served = self._alive() and self._is_served_by_good()
        return words["server.log"] if all(words.values()) and served else ""

    def outcome_of_pointer(self, words: str) -> str:
        """Return why `CURRENT` is refused; none where it is not, or something ended by it.

        The same words are logged once in a while only, so both are given the time to read it.
        """
        time.sleep(LOOK_S)
        registry = Registry.of(self._settings)
        try:
            registry.path(registry.current() or "none")
        except BundleError as error:
            refused = words in error.reason and self._alive() and self._is_served_by_good()
            return error.reason if refused else ""
        return ""

    def count_ends(self, tally: Tally) -> None:
        """Count processes that ended since the last look."""
        if not self._server.child.running:
            tally.server_ended += 1
            self._server = start_server(self._settings, log=self._logs / "server.log")
            self._stack.callback(self._server.child.stop)
        if not _runs(self._folding):
            tally.worker_stopped += 1
            _wait("the worker to start again", lambda: len(self._below_supervisor()) == 1)
            self._folding = self._below_supervisor()[0]

    def act(self, user: str) -> None:
        """Send a click and wait until a list of its user knows it."""
        event = {"type": "click", "user_id": user, "item_id": "item-7"}
        with httpx.Client(base_url=self._server.url, timeout=10) as client:
            for item in tiny_items(20):
                body = {"title": item.title, "categories": item.categories}
                client.put(f"/v1/items/{item.item_id}", json=body).raise_for_status()
            client.post("/v1/events", json=[event]).raise_for_status()
            _wait("the click in a list", lambda: bool(_list_of(client, user).get("as_of")))

    def _alive(self) -> bool:
        return self._server.child.running and _runs(self._folding)

    def _below_supervisor(self) -> list[psutil.Process]:
        """Return the worker; what it starts to check a bundle is below it."""
        return list(psutil.Process(self._worker.pid).children())

    def _is_served_by_good(self) -> bool:
        with httpx.Client(base_url=self._server.url, timeout=10) as client:
            return _list_of(client, "ann").get("model_version") == self._good

    def _sizes(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in self._logs.glob("*.log")}

    def _refusal(self, log: str) -> str:
        """Return what a log says since the last case of a bundle that was refused."""
        content = (self._logs / log).read_bytes()[self._read_from.get(log, 0) :]
        for line in content.decode(errors="replace").splitlines():
            _, found, reason = line.partition(" refused: ")
            if found:
                return reason.partition(". The bundle in use stays")[0]
        return ""


@contextmanager
def _installation(folder: Path) -> Iterator[_Place]:
    """Have embedded backends, and a server and a worker with a good bundle."""
    with ExitStack() as stack:
        broker = EmbeddedBroker()
        stack.callback(broker.stop)
        redis = stack.enter_context(RedisServer())
        settings = Settings(
            namespace="wrong",
            kafka_bootstrap=broker.bootstrap,
            redis_url=redis.url,
            models_dir=str(folder / "models"),
            http_port=0,
        )
        good = Registry.of(settings).publish(folder / "good")
        logs = folder / "logs"
        logs.mkdir()
        yield _Place(settings, logs, good, stack)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _list_of(client: httpx.Client, user: str) -> dict[str, object]:
    asked = {"user": user, "k": "5", "impressions": "client"}
    answer = client.get("/v1/recommendations", params=asked)
    found: dict[str, object] = answer.json() if answer.is_success else {}
    return found


def _damaged(folder: Path, case: Case, target: Path, number: int = 0) -> Path:
    """Return a copy of a good bundle, under a version of its own, that was damaged."""
    shutil.copytree(folder / "good", target)
    reseal(target, created_ts_ms=read_manifest(target).created_ts_ms + 1000 * (1 + number))
    case.damage(target, folder / "other")
    return target


def _made_up(number: int) -> str:
    return f"{NAMES_FROM}-{number:08x}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _wait(what: str, done: Callable[[], bool], *, required: bool = True) -> None:
    until_s = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > until_s:
            if required:
                raise click.ClickException(f"waited {WAIT_S:g} s for {what}")
            return
        time.sleep(POLL_S)


if __name__ == "__main__":
    main()
