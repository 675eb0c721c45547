"""The supervisor brings back what fell, and stops what it is asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.exits import ExitCounts

pytestmark = pytest.mark.services

SUPERVISE = """
import sys
from streams.supervisor import supervise
sys.exit(supervise(sys.argv[1:], shutdown_s=5))
"""
COUNT = """
import sys
from streams import supervisor
from streams.exits import ExitCounts
supervisor.LONGEST_PAUSE_S = 0.1
kept = int(sys.argv[1])
code = supervisor.supervise(
    sys.argv[2:], shutdown_s=5, counts=ExitCounts(kept), inherited=[kept]
)
sys.exit(code)
"""
SAY_WHY = """
import os, sys
from streams.exits import ExitCounts
counts = ExitCounts(int(sys.argv[1]))
before = counts.read().total()
if before == 0:
    counts.note("stalled")
    sys.exit(75)
if before == 1:
    os.kill(os.getpid(), 9)
sys.exit(75 if before < 5 else 0)
"""
APPEND = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write("started\\n")
code = int(sys.argv[2])
if code >= 0:
    sys.exit(code)
time.sleep(60)
"""


def start(marks: Path, code: int) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", APPEND, str(marks), str(code)]
    return subprocess.Popen([sys.executable, "-c", SUPERVISE, *program])


def starts(marks: Path) -> int:
    return len(marks.read_text().splitlines()) if marks.exists() else 0


def test_a_child_that_falls_is_started_again(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """As often as it falls, until a signal comes."""
    supervisor = start(tmp_path / "marks", 75)
    wait_until(lambda: starts(tmp_path / "marks") >= 3, 20)
    supervisor.terminate()
    assert supervisor.wait(10) == 0


@pytest.mark.parametrize("code", [0, 2])
def test_a_child_that_need_not_come_back_ends_it(tmp_path: Path, code: int) -> None:
    """Done, or a setting that starting again will not mend."""
    assert start(tmp_path / "marks", code).wait(20) == code
    assert starts(tmp_path / "marks") == 1


def test_a_signal_is_handed_on(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    """The child ends first, and is not started again."""
    supervisor = start(tmp_path / "marks", -1)
    wait_until(lambda: starts(tmp_path / "marks") == 1, 20)
    os.kill(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait(10) == 0
    assert starts(tmp_path / "marks") == 1


def test_ends_are_counted_by_reason_and_a_crash_loop_is_said_once() -> None:
    """A worker's own word, else what its code tells; the next worker reads them all."""
    with tempfile.TemporaryFile() as file:
        kept = file.fileno()
        done = subprocess.run(
            [sys.executable, "-c", COUNT, str(kept), sys.executable, "-c", SAY_WHY, str(kept)],
            pass_fds=[kept], capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert ExitCounts(kept).read() == {"stalled": 1, "killed": 1, "unknown": 3}
    assert done.stderr.count("ended 5 times in a row") == 1
