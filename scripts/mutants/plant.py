"""Plants bugs, one at a time, in a copy of the project, and sees a unit test fail.

`make mutants` runs it. A suite that a wrong program passes proves nothing: each row of
`planted.py` is a small mistake that somebody could make, with the unit tests that must find it.

Exit codes: 0, all that should be found were found; 1, some were not; 2, it could not be tried.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from planted import PLANTED, Planted  # beside this file: it is run as a program

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
FOUND, PASSED = 1, 0  # exit codes of pytest


@dataclass(frozen=True, slots=True)
class Result:
    """What the tests said of a planted bug.

    Attributes:
        planted: the bug.
        code: exit code of pytest: 1, a test failed; 0, all passed; others: it could not run.
        seconds: that it took.
        output: of pytest.
    """

    planted: Planted
    code: int
    seconds: float
    output: str

    @property
    def found(self) -> bool:
        """Whether a test failed: a broken import is no test that failed."""
        return self.code == FOUND


class Copy:
    """A copy of the project in which bugs are planted."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "project"
        shutil.copytree(ROOT, self._root, ignore=LEFT_OUT)
        # Data of real logs are found through the environment only, and not needed.
        self._environment = os.environ | {"PYTHONPATH": str(self._root)}

    def try_one(self, planted: Planted, limit_s: float) -> Result:
        """Plant a bug, run its tests, and take it out again."""
        file = self._root / planted.file
        clean = file.read_text()
        file.write_text(planted.applied(clean))
        try:
            return self.run(planted, limit_s)
        finally:
            file.write_text(clean)

    def run(self, planted: Planted, limit_s: float) -> Result:
        """Run the tests of a bug in the copy as it is."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command += planted.tests
        started_s = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=self._root,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
            code, output = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as error:
            code, output = -1, f"no result within {limit_s:g} s: {error.stdout!r}"
        return Result(planted, code, time.monotonic() - started_s, output)


def try_all(some: Sequence[Planted], *, jobs: int, limit_s: float) -> Iterable[Result]:
    """Yield the result of each bug, in the order of the table."""
    with tempfile.TemporaryDirectory(prefix="freshet-mutants-") as folder:
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(jobs):
            copies.put(Copy(Path(folder) / str(number)))

        def one(planted: Planted) -> Result:
            copy = copies.get()
            try:
                return copy.try_one(planted, limit_s)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(one, some)


def clean_run(some: Sequence[Planted], limit_s: float) -> Result:
    """Run all the tests once without a bug: they must pass, or a failure means nothing."""
    tests = tuple(sorted({test for planted in some for test in planted.tests}))
    with tempfile.TemporaryDirectory(prefix="freshet-mutants-") as folder:
        return Copy(Path(folder)).run(Planted("none", "", "", "", tests), limit_s)


def line_of(result: Result) -> str:
    """Return what is printed of a result."""
    planted = result.planted
    if result.found:
        word = "found"
    elif result.code == PASSED:
        word = f"NOT FOUND ({planted.unfound})" if planted.unfound else "NOT FOUND"
    else:
        word = f"NOT TRIED (exit code {result.code})"
    return f"{result.seconds:6.1f} s  {planted.file:38} {planted.name}: {word}"


def summary(results: Sequence[Result]) -> dict[str, object]:
    """Return the figures of the last line."""
    return {
        "planted": len(results),
        "found": sum(result.found for result in results),
        "not_found": [result.planted.name for result in results if not result.found],
        "named_with_reason": [result.planted.name for result in results if result.planted.unfound],
        "slowest_s": round(max((result.seconds for result in results), default=0.0), 1),
    }


def main(arguments: Sequence[str]) -> int:
    """Run it; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of those to try; all if none")
    parser.add_argument("--jobs", type=int, default=2, help="bugs tried at the same time")
    parser.add_argument("--limit-s", type=float, default=120.0, help="seconds for the tests of one")
    parser.add_argument("--no-clean-run", action="store_true", help="skip the run without a bug")
    given = parser.parse_args(arguments)
    some = [
        each
        for each in PLANTED
        if not given.names or any(name in each.name for name in given.names)
    ]
    if not some:
        parser.error(f"no planted bug is named like {' or '.join(given.names)}")
    if not given.no_clean_run:
        clean = clean_run(some, 10 * given.limit_s)
        print(f"{clean.seconds:6.1f} s  without a bug: exit code {clean.code}", flush=True)
        if clean.code != PASSED:
            print(clean.output, "the tests fail without a bug: mend them first", sep="\n")
            return 2
    results = []
    for result in try_all(some, jobs=given.jobs, limit_s=given.limit_s):
        results.append(result)
        print(line_of(result), flush=True)
        if result.code not in {FOUND, PASSED}:
            print(result.output[-2000:])
    print(json.dumps(summary(results)))
    return int(any(not each.found and not each.planted.unfound for each in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
