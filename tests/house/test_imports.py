"""Importing a module does nothing: no network, process, thread, file, variable, no torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

IMPORT_ALL = """
import importlib, os, pkgutil, signal, sys, threading

REFUSED = {"socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto",
           "subprocess.Popen", "os.fork", "os.posix_spawn"}  # to whatever is imported
REFUSED_TO_US = {"socket.__new__", "os.putenv", "os.unsetenv", "os.mkdir", "os.remove", "os.rename",
                 "os.chdir", "tempfile.mkstemp", "tempfile.mkdtemp", "open"}
HERE, LIBRARY = os.getcwd() + os.sep, os.path.dirname(os.__file__)

def is_ours(frame):
    "Whether code of ours asked, perhaps through the standard library."
    while frame:
        file = frame.f_code.co_filename
        if file.startswith(HERE) and "site-packages" not in file:  # a virtual environment lies here
            return True
        inner = file.startswith("<") or file.startswith(LIBRARY) and "site-packages" not in file
        if not inner or "importlib" in file:  # a package, or the reading of a module
            return False
        frame = frame.f_back
    return False

def handlers():
    return {number: signal.getsignal(number) for number in signal.valid_signals()}

def refuse(event, arguments):
    if event in REFUSED or event in REFUSED_TO_US and is_ours(sys._getframe(1)):
        raise RuntimeError(f"{event}{arguments} while importing")

with_torch = sys.argv[1] == "training"
if not with_torch:
    sys.modules["torch"] = None
    sys.addaudithook(refuse)  # torch itself is not ours to judge
LEARNING = ("online_models.training", "benchmarks.learning", "benchmarks.drift")
threads = threading.active_count()
signals = handlers()
names = []
for name in ("freshet", "online_models", "replay", "serving", "streams", "benchmarks"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + ".", onerror=lambda name: None):
        if module.name.startswith(LEARNING) == with_torch:
            importlib.import_module(module.name)
            names.append(module.name)
if not with_torch:
    assert threading.active_count() == threads, f"{threading.enumerate()} while importing"
    assert handlers() == signals, "signals handled while importing"
assert with_torch or "faust" in sys.modules  # the hook was there when the heavy ones came
print(len(names))
"""
ALL_PACKAGES = '("freshet", "online_models", "replay", "serving", "streams", "benchmarks")'
EFFECTS = {
    "a variable": "import os; os.environ['X_Y'] = '1'",
    "a variable less": "import os; os.environ.pop('PATH', None)",
    "a thread": "from threading import *; Thread(target=Event().wait, daemon=True).start()",
    "a socket": "import socket; S = socket.socket()",
    "a file": "from pathlib import Path; F = Path(__file__).read_text()",
    "a file that is written": "from pathlib import Path; Path(__file__ + '.new').write_text('')",
    "a temporary file": "import tempfile; T = tempfile.NamedTemporaryFile()",
    "a signal": "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
    "a process": "import subprocess; subprocess.run(['true'])",
}


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


@pytest.mark.parametrize("what", EFFECTS)
def test_a_module_that_does_something_is_refused(what: str, tmp_path: Path) -> None:
    """The twin of the test above: each effect of an import is seen."""
    package = tmp_path / "freshet"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text(EFFECTS[what])
    program = IMPORT_ALL.replace(ALL_PACKAGES, '("freshet",)')
    done = subprocess.run(
        [sys.executable, "-c", program, "serving"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "while importing" in done.stderr


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
