"""A child process: ready, stopped, killed, and gone with its parent."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from freshet.core.errors import ServiceError
from freshet.embedded.child import Child, is_frozen

pytestmark = pytest.mark.services

SLEEP = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True);"
    "[signal.pause() for _ in iter(int, 1)]",
]
BUSY = [
    sys.executable,
    "-c",
    "import threading, time; print('up', flush=True);"
    "[threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)]).start()"
    " for _ in range(8)]",
]


def _start(command: list[str], log: Path) -> Child:
    child = Child("sleeper", command, log=log)
    child.wait_until_ready(lambda: "up" in log.read_text(), 20)
    return child


def test_a_stopped_child_ends_by_its_signal(tmp_path: Path) -> None:
    """Stop asks with SIGTERM and returns how the child ended."""
    child = _start(SLEEP, tmp_path / "log")
    assert child.running
    assert child.stop() == -signal.SIGTERM
    assert not child.running


def test_a_stubborn_child_is_killed(tmp_path: Path) -> None:
    """A child that ignores SIGTERM does not survive stop."""
    child = _start(STUBBORN, tmp_path / "log")
    assert child.stop(timeout_s=0.2) == -signal.SIGKILL


def test_a_frozen_child_has_stopped_when_freezing_returns(tmp_path: Path) -> None:
    """All of its threads: the signal alone lets them run on for a while. Awake, it goes on."""
    child = _start(BUSY, tmp_path / "log")
    for _ in range(20):
        assert not is_frozen(child.pid)
        child.freeze()
        assert is_frozen(child.pid)
        child.thaw()
    child.kill()
    assert is_frozen(child.pid)


def test_what_is_not_there_cannot_be_frozen(tmp_path: Path) -> None:
    """Who freezes it hears of it."""
    child = _start(SLEEP, tmp_path / "log")
    child.stop()
    with pytest.raises(ProcessLookupError):
        child.freeze()


def test_stopping_twice_changes_nothing(tmp_path: Path) -> None:
    """The second stop returns the same code and signals nobody."""
    child = _start(SLEEP, tmp_path / "log")
    assert child.stop() == -signal.SIGTERM
    assert child.stop() == -signal.SIGTERM


def test_a_child_that_ends_while_it_is_awaited_is_an_error_with_its_log(tmp_path: Path) -> None:
    """The sentence names the child, its exit code and its last words."""
    child = Child("oracle", [sys.executable, "-c", "print('last words'); exit(3)"],
                  log=tmp_path / "log")  # fmt: skip
    with pytest.raises(ServiceError, match=r"oracle: ended with code 3\nlast words"):
        child.wait_until_ready(lambda: False, 20)


def test_a_child_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    """Waiting has an end."""
    child = _start(SLEEP, tmp_path / "log")
    with pytest.raises(ServiceError, match="not ready within"):
        child.wait_until_ready(lambda: False, 0.05)
    child.stop()


def test_the_log_of_an_earlier_child_is_kept_and_not_quoted(tmp_path: Path) -> None:
    """Logs are appended; the tail is this child's alone."""
    log = tmp_path / "log"
    log.write_text("an earlier life\n")
    child = _start(SLEEP, log)
    child.stop()
    assert log.read_text() == "an earlier life\nup\n"
    assert child.log_tail().startswith("up\n")


def test_a_child_dies_with_its_parent(tmp_path: Path, wait_until) -> None:
    """The kernel ends the child also when its parent is killed with -9."""
    log = tmp_path / "log"
    program = (
        "import sys; from pathlib import Path; from freshet.embedded.child import Child;"
        f"child = Child('c', {SLEEP!r}, log=Path({str(log)!r}));"
        f"child.wait_until_ready(lambda: 'up' in Path({str(log)!r}).read_text(), 20);"
        "print(child.pid, flush=True); import signal; signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: _gone(pid), 10, "the child is gone")


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
