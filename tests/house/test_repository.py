"""The repository as a whole: what must be in it, and what must not."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

LARGEST_LINES = 400
FORBIDDEN = {
    "an address of a package registry": (
        r"p[y]pi\.org|python[h]osted|anaconda\.[o]rg|npm[j]s|repo1?\.[m]aven"
    ),
    "a path of one machine": r"(?<![\w.}\-])/(?:w[o]rk|ro[o]t|hom[e])/\w",
    "a debt without a name": r"\bTO[D]O\b|\bFIX[M]E\b|\bXX[X]\b",
}
NO_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    """The files of the repository, or of an unpacked copy of it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not listed.returncode:
        found = [root / name for name in listed.stdout.split("\0") if name]
    else:
        skipped = {".venv", ".git", "build", "dist"}
        found = [path for path in root.rglob("*") if not skipped & set(path.parts)]
    return [path for path in found if path.is_file()]


def texts(files: list[Path]) -> Iterator[tuple[Path, str]]:
    """The files that are text, with it."""
    for path in files:
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str, files: list[Path]) -> None:
    """Nothing in the repository depends on where it was written."""
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in texts(files)
        for match in re.finditer(FORBIDDEN[what], text)
    ]
    assert not found, f"{what}: {found}"


def test_sources_are_short(files: list[Path]) -> None:
    """A file that nobody can hold in the head is two files."""
    long = {
        str(path): text.count("\n")
        for path, text in texts(files)
        if path.suffix in {".py", ".lua", ".js", ".sh"} and text.count("\n") > LARGEST_LINES
    }
    assert not long


def test_no_file_is_named_for_nothing(files: list[Path]) -> None:
    """What has no name has no place."""
    assert not [path for path in files if path.name in NO_NAMES]


def test_every_module_says_what_it_is(files: list[Path]) -> None:
    """Each module of the packages opens with a docstring."""
    sources = [path for path in files if path.suffix == ".py" and "tests" not in path.parts]
    assert len(sources) > 100
    assert not [
        path for path in sources if not path.read_text().lstrip().startswith(('"""', 'r"""'))
    ]


def test_every_requirement_is_pinned(root: Path) -> None:
    """constraints.txt holds exact versions only, one for each requirement of ours."""
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", line) for line in pins)
    pinned = {_normal(line.split("==")[0]) for line in pins}
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    wanted = {
        _normal(re.split(r"[<>=!~\[; ]", each)[0]) for each in project["dependencies"] + extras
    }
    assert wanted <= pinned


def test_the_licence_is_whole(root: Path) -> None:
    """Apache-2.0, from its title to the appendix."""
    text = (root / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
    assert len(text.splitlines()) == 202


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
