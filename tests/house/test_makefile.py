"""The Makefile: its help, and installs that happen once and never half."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FAKE_PYTHON = """#!/bin/sh
# Stands for the interpreter: makes an environment whose python notes what it is asked.
mkdir -p .venv/bin
touch .venv/bin/pip
cat > .venv/bin/python <<'END'
#!/bin/sh
echo "$@" >> calls
$DURING
exit ${PIP_RESULT:-0}
END
chmod +x .venv/bin/pip .venv/bin/python
"""


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A checkout in which the interpreter and the look at the system are twins."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for path, text in ((scripts / "system-packages.sh", "#!/bin/sh\n"),
                       (tmp_path / "fake-python", FAKE_PYTHON)):  # fmt: skip
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder, env=inherited | {"PYTHON": str(folder / "fake-python")} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def installs(folder: Path) -> int:
    """How often something was installed."""
    noted = folder / "calls"
    return noted.read_text().count("pip install") if noted.exists() else 0


def test_make_alone_lists_every_target(root: Path) -> None:
    """The help names each target that a person may run."""
    text = (root / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    targets = set(phony[1].split()) - {"system-packages"}
    assert {"setup", "demo", "test", "check", "bench"} <= targets
    assert set(re.findall(r"^make (\S+)", make(root).stdout, re.MULTILINE)) == targets


def test_a_second_run_installs_nothing(checkout: Path) -> None:
    """What is installed stays installed."""
    assert make(checkout, "setup").returncode == 0
    assert installs(checkout) == 1
    assert make(checkout, "setup").returncode == 0
    assert installs(checkout) == 1


def test_the_install_of_everything_serves_the_demo_too(checkout: Path) -> None:
    """After `make setup` the demo has nothing to install."""
    make(checkout, "setup")
    assert "pip install" not in make(checkout, "-n", "demo").stdout


def test_the_demo_installs_less_than_everything(checkout: Path) -> None:
    """`make demo` leaves the tools of development out."""
    install = make(checkout, "-n", "demo").stdout
    assert "'.[train]'" in install
    assert "dev" not in install.replace("/dev/", "")


def test_all_tests_run_in_two_processes(checkout: Path) -> None:
    """What a person asks for comes later, and so wins."""
    ran = make(checkout, "-n", "test", "ARGS=-n0 -k repeated").stdout
    assert "pytest -n 2 --dist loadgroup -n0 -k repeated" in ran


def test_a_process_of_two_computes_with_one_thread(checkout: Path) -> None:
    """The tests get what the Makefile says, and so do the commands that they start."""
    python = FAKE_PYTHON.replace('echo "$@"', 'echo "threads ${OMP_NUM_THREADS}; $@"')
    (checkout / "fake-python").write_text(python)
    make(checkout, "test")
    assert "threads 1; -m pytest -n 2" in (checkout / "calls").read_text()


def test_the_fault_catalogue_writes_its_results(checkout: Path) -> None:
    """`make faults` runs the folder of the faults and says where the figures go."""
    ran = make(checkout, "-n", "faults", "ARGS=-x").stdout
    assert "pytest tests/faults --results RESULTS.md -x" in ran


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_installs_again(checkout: Path, changed: str) -> None:
    """The stamp is older than what it stands for."""
    make(checkout, "setup")
    later = (checkout / ".venv" / ".setup").stat().st_mtime + 10
    os.utime(checkout / changed, (later, later))
    make(checkout, "setup")
    assert installs(checkout) == 2


def test_a_requirement_that_changes_during_the_install_installs_again(checkout: Path) -> None:
    """The stamp has the time of the start, not of the end."""
    make(checkout, "setup", DURING="touch -t 209901010000 constraints.txt")
    make(checkout, "setup")
    assert installs(checkout) == 2


def test_a_failed_install_leaves_no_stamp(checkout: Path) -> None:
    """The next run installs again, and then it is done."""
    assert make(checkout, "setup", PIP_RESULT="1").returncode != 0
    assert not (checkout / ".venv" / ".setup").exists()
    assert make(checkout, "setup").returncode == 0
    assert (checkout / ".venv" / ".setup").exists()


def test_an_environment_without_pip_is_made_anew(checkout: Path) -> None:
    """A virtual environment whose making was cut short is never used."""
    half = checkout / ".venv" / "bin" / "python"
    half.parent.mkdir(parents=True)
    half.touch()
    assert make(checkout, "setup").returncode == 0
    assert installs(checkout) == 1
