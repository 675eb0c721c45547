"""scripts/system-packages.sh, on machines made of a few stub programs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COREUTILS = ("bash", "sed", "env", "mkdir", "chmod", "cat")


class Machine:
    """A PATH of its own, with stubs for what is installed."""

    def __init__(self, folder: Path, script: Path) -> None:
        self.folder = folder
        self.script = script
        for name in COREUTILS:
            found = shutil.which(name)
            assert found
            (folder / name).symlink_to(found)
        self.has("python3", 'echo "python3.11 new headers venv"')

    def has(self, name: str, does: str = "exit 0") -> "Machine":
        (self.folder / name).write_text(f"#!{self.folder}/bash\n{does}\n")
        (self.folder / name).chmod(0o755)
        return self

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "bash", self.script, *arguments],
            env={"PATH": str(self.folder)} | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, root: Path) -> Machine:
    """A machine of a user who is not root, with Python and nothing else."""
    return Machine(tmp_path, root / "scripts" / "system-packages.sh").has("id", "echo 1000")


def test_it_says_nothing_when_all_is_there(machine: Machine) -> None:
    """The demo needs Python and a compiler, no more."""
    done = machine.has("g++").run("demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tests_need_java_maven_redis_strace_and_a_browser(machine: Machine) -> None:
    """With all of them there it says nothing."""
    machine.has("g++").has("mvn").has("strace").has("chromium").has("chromedriver")
    machine.has("java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
    machine.has("redis-server", "echo Redis server v=7.0.15 sha=0:0")
    done = machine.run("test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_strace_is_asked_for_on_linux_alone(machine: Machine) -> None:
    """Elsewhere there is none."""
    assert "strace" in machine.run("test", OSTYPE="linux-gnu").stderr
    assert "strace" not in machine.run("test", OSTYPE="darwin23").stderr


def test_old_java_and_old_redis_do_not_count(machine: Machine) -> None:
    """Versions are looked at, also where a version has one number less."""
    machine.has("g++").has("mvn").has("strace").has("chromium")
    machine.has("chromedriver").has("apt-get")
    machine.has("java", """echo 'openjdk version "1.8.0_402"' >&2""")
    machine.has("redis-server", "echo Redis server v=6.0.16 sha=0:0")
    done = machine.run("test")
    assert done.returncode == 1
    assert "missing: Java 17, Redis 7." in done.stderr


def test_the_redis_of_an_activated_environment_hides_no_newer_one(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The wheel's is older than the system's, and comes first on the PATH."""
    machine.has("redis-server", "echo Redis server v=7.0.15 sha=0:0")
    activated = Machine(tmp_path_factory.mktemp("environment"), machine.script)
    activated.has("redis-server", "echo Redis server v=6.2.14 sha=0:0")
    done = machine.run("test", PATH=f"{activated.folder}:{machine.folder}")
    assert "Java 17" in done.stderr
    assert "Redis" not in done.stderr


def test_elsewhere_it_prints_one_command(machine: Machine) -> None:
    """Someone who is not root gets the line to run, and exit code 1."""
    done = machine.has("apt-get").run("demo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "sudo apt-get install -y g++"
    machine.has("dnf")
    (machine.folder / "apt-get").unlink()
    assert machine.run("demo").stderr.splitlines()[-1] == "sudo dnf install -y gcc-c++"


@pytest.mark.parametrize(
    ("switch", "absent"), [("FRESHET_NO_KAFKA", "Maven"), ("FRESHET_NO_BROWSER", "Chromium")]
)
def test_a_part_that_is_switched_off_is_not_asked_for(
    machine: Machine, switch: str, absent: str
) -> None:
    """FRESHET_NO_KAFKA=1 does without Java and Maven, FRESHET_NO_BROWSER=1 without Chromium."""
    assert absent in machine.run("test").stderr
    assert absent not in machine.run("test", **{switch: "1"}).stderr


def test_as_root_it_installs_and_says_so(machine: Machine) -> None:
    """One line for each package, then silence."""
    bash = machine.folder / "bash"
    machine.has("id", "echo 0")
    machine.has(
        "apt-get",
        f'[[ $1 == update ]] || {{ printf "#!{bash}\\n" > {machine.folder}/g++; '
        f"chmod +x {machine.folder}/g++; }}",
    )
    done = machine.run("demo")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "system-packages: installing a C++ compiler (g++)\n"
    assert machine.run("demo").stdout == ""


def test_an_install_that_did_not_help_is_an_error(machine: Machine) -> None:
    """What is still missing is named."""
    done = machine.has("id", "echo 0").has("apt-get").run("demo")
    assert done.returncode == 1
    assert "still missing: a C++ compiler" in done.stderr


def test_an_old_python_is_refused_in_a_sentence(machine: Machine) -> None:
    """It names what was found, what was expected and what to do."""
    machine.has("python3", '[[ $1 == -V ]] && echo Python 3.10.13 || echo "python3.10 old"')
    done = machine.run("demo")
    assert done.returncode == 1
    assert done.stderr == (
        "system-packages: python3 is Python 3.10.13, expected Python 3.11 or newer; "
        "name one, as in: make demo PYTHON=python3.12\n"
    )


def test_the_real_interpreter_is_read_right(root: Path) -> None:
    """The facts that the stub states are the ones that this interpreter states."""
    script = (root / "scripts" / "system-packages.sh").read_text()
    program = script.partition('"$PYTHON" -c \'')[2].partition("'\n}")[0]
    facts = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert facts[0] == f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert facts[1] == "new"
    assert set(facts[2:]) <= {"headers", "venv"}
