"""Nothing phones home: the processes of an installation, as the kernel sees them.

`strace` sees what is written in C too. A fresh home shows what a library would keep.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freshet.commands.processes import VERB
from freshet.core.settings import Settings, environment_of
from freshet.embedded.child import Child
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from replay.generated_log import write_log
from replay.generator import Plan

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="STRACE IS OF LINUX"),
]

AUTOMATION = ("TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL",
              "CODEBUILD_BUILD_ID", "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR",
              "BITBUCKET_BUILD_NUMBER", "ORT_DISABLE_TELEMETRY")  # fmt: skip
# What we say that we keep: compiled loops, and the jars of Apache Kafka.
KEPT = re.compile(r"(\.cache|cache)/(numba|freshet)/")
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
HOST = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user who has no files yet, on a machine that does not look like a CI."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name in AUTOMATION:
        monkeypatch.delenv(name, raising=False)
    return home


@contextmanager
def traced(name: str, command: list[str], folder: Path, settings: Settings) -> Iterator[Child]:
    """Run a program under `strace`, which leaves `<name>.trace`."""
    strace = shutil.which("strace")
    assert strace, "strace is missing: scripts/system-packages.sh test installs it"
    calls = "trace=connect,sendto,sendmsg,sendmmsg"
    options = ["--follow-forks", "--seccomp-bpf", "--quiet=all", "-s", "128", "-e", calls]
    child = Child(
        name,
        [strace, *options, "-o", str(folder / f"{name}.trace"), *command],
        log=folder / f"{name}.log",
        environment=environment_of(settings),
    )
    try:
        yield child
    finally:
        child.stop()


def foreign(trace: Path) -> list[str]:
    """Return the calls of a trace that leave this machine, or ask who has a name."""
    return [line for line in trace.read_text().splitlines() if _is_foreign(line)]


def _is_foreign(line: str) -> bool:
    host, port = HOST.search(line), PORT.search(line)
    if host is None or port is None:
        return "systemd/resolve" in line
    address = host[1] or host[2]
    return port[1] == "53" or not (address.startswith("127.") or address in ("::1", "0.0.0.0"))


def left_in(home: Path) -> list[str]:
    """Return the files of a home that nobody was told of."""
    files = (str(each.relative_to(home)) for each in home.rglob("*") if each.is_file())
    return [each for each in files if not KEPT.match(each)]


def test_calls_that_leave_the_machine_are_found() -> None:
    """Also a question to a name server on loopback."""
    begin = "12 connect(7, {sa_family=AF_INET, sin_port=htons"
    begin6 = "12 connect(7, {sa_family=AF_INET6, sin6_port=htons"
    assert _is_foreign(f'{begin}(443), sin_addr=inet_addr("13.69.109.131")}}, 16) = 0')
    assert _is_foreign(f'{begin}(53), sin_addr=inet_addr("127.0.0.53")}}, 16) = 0')
    assert _is_foreign(f'{begin6}(443), inet_pton(AF_INET6, "2603:1030::1", &sin6_addr)}}, 28)')
    assert not _is_foreign(f'{begin}(9092), sin_addr=inet_addr("127.0.0.1")}}, 16) = 0')
    assert not _is_foreign(f'{begin6}(9092), inet_pton(AF_INET6, "::1", &sin6_addr)}}, 28) = 0')
    assert not _is_foreign('12 sendto(9, "*1\\r\\n$4\\r\\nPING\\r\\n", 14, 0, NULL, 0) = 14')


def test_server_worker_and_check_ask_nobody(
    settings: Settings,
    fresh_home: Path,
    tmp_path: Path,
    wait_until: Callable[..., None],
) -> None:
    """With a bundle in use, which the worker and the server check in a child and load."""
    version = publish_tiny_bundle(Path(settings.models_dir), tiny_items(50))
    with (
        traced("worker", [*VERB, "worker"], tmp_path, settings) as worker,
        traced("server", [*VERB, "serve"], tmp_path, settings) as server,
    ):
        wait_until(lambda: f"bundle {version}" in server.log_tail(200), 90, "the bundle serves")
        wait_until(lambda: version in worker.log_tail(200), 90, "the worker has the bundle")
    for name in ("worker", "server"):
        trace = tmp_path / f"{name}.trace"
        assert "AF_" in trace.read_text(), "a trace that saw nothing proves nothing"
        assert foreign(trace) == []
    assert left_in(fresh_home) == []


@pytest.mark.training
def test_a_training_asks_nobody(fresh_home: Path, settings: Settings, tmp_path: Path) -> None:
    """From a log to a bundle in use: torch, the export to ONNX and its check."""
    log = write_log(Plan(users=120, items=80, days=4.0), tmp_path / "films").events
    command = [*VERB, "train", str(log), "--quick", "--epochs", "1", "--json"]
    with traced("train", command, tmp_path, settings) as training:
        assert training.process.wait(timeout=240) == 0, training.log_tail()
    assert Registry(settings.models_dir).current()
    assert foreign(tmp_path / "train.trace") == []
    assert left_in(fresh_home) == []
