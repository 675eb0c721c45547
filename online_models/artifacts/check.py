"""Checks a bundle in a process of its own: a corrupt graph or index may end the process.

`python -m online_models.artifacts.check FOLDER [BUDGET]` ends with 0, or with 1 and the reason on
standard output; anything else is a crash, and a crash is a refusal. The process limits its own
memory and processor time first, and is the first that a kernel without memory ends.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import Final

import msgspec
import psutil

from freshet.core.clock import system_clock
from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.checks.budget import Budget
from online_models.artifacts.checks.identity import check_identity
from online_models.artifacts.checks.index import check_index
from online_models.artifacts.checks.latency import check_latency
from online_models.artifacts.checks.models import check_models
from online_models.artifacts.files import require_folder
from online_models.artifacts.golden import check_golden, check_recorded_items
from online_models.artifacts.manifest import Manifest, read_manifest, verify_sizes

CHECKS_VERSION: Final = 2
"""Another one makes every bundle be checked again."""

_MAX_FUTURE_MS: Final = 86_400_000
_NICENESS: Final = 5
_PATIENCE: Final = 5
"""Seconds of a busy machine in which a child may get one of processor time."""

_MIB: Final = 1 << 20
_running: set[subprocess.Popen[str]] = set()


def load_bundle(folder: Path) -> Bundle:
    """Return the bundle in `folder` after all checks that need no clock, golden vectors included.

    Raises:
        BundleError: when it must not serve.
    """
    bundle = open_bundle(folder)
    check_identity(folder, bundle)
    check_golden(folder, bundle)
    check_models(folder, bundle)
    check_index(folder, bundle)
    check_recorded_items(folder, bundle)  # last: it knows that something differs, and not what
    return bundle


def check_in_child(folder: Path, budget: Budget | None = None) -> None:
    """Load the bundle in a child process, and let only the child come to harm.

    What can be seen without opening a file is refused before there is a child.

    Raises:
        BundleError: when the child refuses it, is killed, or does not end in time.
    """
    budget = budget or Budget()
    require_folder(folder)
    verify_sizes(folder, read_manifest(folder))
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    }
    module = "online_models.artifacts.check"
    command = [sys.executable, "-m", module, str(folder.absolute()), budget.encoded()]
    child = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
    )
    _running.add(child)
    try:
        said, failed_with = child.communicate(timeout=_PATIENCE * budget.check_s)
    except subprocess.TimeoutExpired as error:
        waited_s = _PATIENCE * budget.check_s
        raise BundleError(folder, f"its check took longer than {waited_s:g} s") from error
    finally:
        child.kill()
        child.wait()
        _running.discard(child)
    if child.returncode == -signal.SIGXCPU:
        limit = f"{budget.check_s:g} s of processor time (setting `model_check_s`)"
        raise BundleError(folder, f"its check took longer than {limit}")
    if fault := _fault(child.returncode, said.strip(), failed_with.strip()):
        raise BundleError(folder, fault)


def end_checks() -> None:
    """End the checks of this process, which stops: a thread that waits for one would hold it up."""
    for child in tuple(_running):
        child.kill()


def _fault(code: int, said: str, failed_with: str) -> str:
    """Return what a child that ended found; nothing where the bundle may serve.

    >>> _fault(0, "", ""), _fault(-9, "", ""), _fault(1, "it is old", "")
    ('', 'its check was ended by SIGKILL', 'it is old')
    """
    if code == 0:
        return ""
    if code == 1 and said:
        return said
    if code < 0:
        return f"its check was ended by {signal.Signals(-code).name}"
    last = failed_with.splitlines()[-1:] or ["no message"]
    return f"its check ended with code {code} ({last[0]})"


def check_created(folder: Path, manifest: Manifest, now_ms: int) -> None:
    """Refuse a bundle of the future: it would be the newest of all for ever.

    Raises:
        BundleError: it is more than a day ahead of the clock.
    """
    if manifest.created_ts_ms > now_ms + _MAX_FUTURE_MS:
        raise BundleError(
            folder,
            f"it was made at {manifest.created_ts_ms} ms, more than a day after now ({now_ms} ms): "
            "set the clock right, here or where it was made",
        )


def main() -> int:
    """Check the bundle named by the first argument; the exit code is the answer."""
    folder = Path(sys.argv[1])
    budget = msgspec.json.decode(sys.argv[2], type=Budget) if len(sys.argv) > 2 else Budget()
    _limit(budget)
    return judge(lambda: _check(folder, budget), budget, sys.stdout.write)


def judge(check: Callable[[], None], budget: Budget, say: Callable[[str], object]) -> int:
    """Run a check and return its exit code; a reason is said.

    Args:
        check: raises `BundleError` where the bundle must not serve.
        budget: that it had.
        say: takes the reason.
    """
    try:
        check()
    except BundleError as error:
        reason = error.reason
    except MemoryError:
        reason = ""
    except Exception as error:  # whatever a strange file makes a library raise
        reason = f"its check failed ({type(error).__name__}: {error})"
    else:
        return 0
    if not reason or "bad_alloc" in reason or "Failed to allocate" in reason:
        reason = (
            f"it needs more than {budget.memory_mib} MiB of memory (`model_memory_mib`) {reason}"
        )
    say(f"{reason.strip()}\n".encode("utf-8", "backslashreplace").decode())
    return 1


def _check(folder: Path, budget: Budget) -> None:
    bundle = load_bundle(folder)
    check_created(folder, bundle.manifest, system_clock())
    check_latency(folder, bundle, budget.list_ms)


def _limit(budget: Budget) -> None:
    """Bound what this process may take; a limit that its system does not have is left out."""
    used = getattr(psutil.Process().memory_info(), "data", 0)
    _set_limit(resource.RLIMIT_DATA, used + budget.memory_mib * _MIB)
    _set_limit(resource.RLIMIT_CPU, math.ceil(process_time() + budget.check_s))
    _set_limit(resource.RLIMIT_CORE, 0)
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _set_limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
