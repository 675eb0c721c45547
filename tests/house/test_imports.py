"""Importing a module does nothing: no network, no process, no thread, no torch."""

import subprocess
import sys
from pathlib import Path

import pytest

IMPORT_ALL = """
import importlib, pkgutil, sys, threading

FORBIDDEN = {"socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto",
             "subprocess.Popen", "os.fork", "os.posix_spawn"}

def refuse(event, arguments):
    if event in FORBIDDEN:
        raise RuntimeError(f"{event}{arguments} while importing")

with_torch = sys.argv[1] == "training"
if not with_torch:
    sys.modules["torch"] = None
    sys.addaudithook(refuse)  # torch itself is not ours to judge
LEARNING = ("online_models.training", "benchmarks.learning", "benchmarks.drift")
threads = threading.active_count()
names = []
for name in ("freshet", "online_models", "replay", "serving", "streams", "benchmarks"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + ".", onerror=lambda name: None):
        if module.name.startswith(LEARNING) == with_torch:
            importlib.import_module(module.name)
            names.append(module.name)
assert threading.active_count() == threads or with_torch, threading.enumerate()
assert with_torch or "faust" in sys.modules  # the hook was there when the heavy ones came
print(len(names))
"""


def import_all(what: str, root: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, what],
        cwd=root, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return int(done.stdout)


def test_importing_all_that_runs_does_nothing_and_needs_no_torch(root: Path) -> None:
    """Streaming, serving, replay and commands import with the network closed and no torch."""
    assert import_all("serving", root) > 100


@pytest.mark.training
def test_importing_the_training_modules_works(root: Path) -> None:
    """Where torch is, its modules import."""
    assert import_all("training", root) > 5


def test_the_package_torch_would_be_refused(root: Path) -> None:
    """The twin of the test above: what it forbids is indeed impossible there."""
    broken = IMPORT_ALL.replace("threads = threading", "import torch; threads = threading")
    done = subprocess.run(
        [sys.executable, "-c", broken, "serving"], capture_output=True, text=True, check=False
    )
    assert "torch" in done.stderr
    assert done.returncode == 1


def test_the_import_arrows_point_down(root: Path, scripts_of_environment: Path) -> None:
    """import-linter keeps every contract of pyproject.toml."""
    done = subprocess.run(
        [scripts_of_environment / "lint-imports"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stdout
