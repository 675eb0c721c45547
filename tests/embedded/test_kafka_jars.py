"""Finding Java and the jars, and the sentences when they are missing."""

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from freshet.core.errors import ServiceError
from freshet.embedded.kafka_jars import cache_folder, find_java, resolve_jars


def _program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IEXEC)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_no_java_is_a_sentence(path: Path) -> None:
    """It names the package and the switch."""
    with pytest.raises(ServiceError, match=r"install openjdk-17.*FRESHET_NO_KAFKA=1"):
        find_java()


@pytest.mark.parametrize("banner", ['java version "1.8.0_202"', 'openjdk version "11.0.2"', "?"])
def test_an_old_or_strange_java_is_refused(path: Path, banner: str) -> None:
    """The old version scheme counts as old too."""
    _program(path, "java", f"echo '{banner}' >&2")
    with pytest.raises(ServiceError, match="expected 17 or newer"):
        find_java()


@pytest.mark.parametrize("banner", ['openjdk version "17.0.15" 2025-04-15', 'x "21"'])
def test_a_new_java_is_found(path: Path, banner: str) -> None:
    """Newer ones pass too."""
    _program(path, "java", f"echo '{banner}' >&2")
    assert find_java() == str(path / "java")


def test_jars_that_are_there_need_no_maven(path: Path, tmp_path: Path) -> None:
    """The second start asks nobody."""
    assert resolve_jars(tmp_path) == tmp_path


def test_no_maven_is_a_sentence(path: Path, tmp_path: Path) -> None:
    """It says where the jars were looked for."""
    with pytest.raises(ServiceError, match=r"libs and there is no mvn .* install maven"):
        resolve_jars(tmp_path / "libs")


def test_a_failing_maven_leaves_no_folder(path: Path, tmp_path: Path) -> None:
    """Half a set of jars never looks like a whole one."""
    _program(path, "mvn", "echo no network; exit 1")
    with pytest.raises(ServiceError, match=r"could not fetch.*\n.*no network"):
        resolve_jars(tmp_path / "cache" / "libs")
    assert list((tmp_path / "cache").iterdir()) == []


def test_only_one_process_fetches(path: Path, tmp_path: Path) -> None:
    """The next one waits, and takes what the first has fetched."""
    _program(path, "mvn", "echo asked twice; exit 1")
    folder = tmp_path / "cache" / "libs"
    folder.parent.mkdir()
    found: list[Path] = []
    second = threading.Thread(target=lambda: found.append(resolve_jars(folder)))
    first = os.open(folder.parent, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    folder.mkdir()
    os.close(first)
    second.join(20)
    assert found == [folder]


def test_the_cache_follows_the_xdg_convention(monkeypatch: pytest.MonkeyPatch) -> None:
    """`XDG_CACHE_HOME` wins over the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder().is_relative_to("/elsewhere/freshet")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().is_relative_to(Path.home() / ".cache")
