"""What is tried, in which order, and when again."""

import os
from pathlib import Path

import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.candidates import Candidates
from online_models.artifacts.check import load_bundle
from online_models.artifacts.pointer import CURRENT
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items

REFUSAL = BundleError("bundle", "it is wrong")


class Clock:
    """Seconds that pass when they are told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def versions(tmp_path: Path) -> list[str]:
    """Three published versions by name, the last in use."""
    made = [publish_tiny_bundle(tmp_path, tiny_items(5), seed=seed) for seed in range(3)]
    for version in sorted(made):
        Registry(tmp_path, checker=load_bundle).use(version)
    return sorted(made)


@pytest.fixture
def candidates(tmp_path: Path, versions: list[str], clock: Clock) -> Candidates:
    return Candidates(Registry(tmp_path), clock)


def test_the_current_one_is_tried(candidates: Candidates, versions: list[str]) -> None:
    """Until it is in use."""
    assert candidates.next(None) == versions[2]
    assert candidates.next(versions[0]) == versions[2]
    assert candidates.next(versions[2]) is None


def test_a_refused_one_is_not_tried_again(
    candidates: Candidates, versions: list[str], clock: Clock
) -> None:
    """The one in use stays; where there is none, the newest others come, each once."""
    candidates.refuse(versions[2], REFUSAL)
    clock.now_s = 1e9
    assert candidates.next(versions[0]) is None
    assert candidates.next(None) == versions[1]
    candidates.refuse(versions[1], REFUSAL)
    assert candidates.next(None) == versions[0]
    candidates.refuse(versions[0], REFUSAL)
    assert candidates.next(None) is None


def test_files_that_arrive_later_are_looked_at(
    candidates: Candidates, versions: list[str], tmp_path: Path
) -> None:
    """When they have stopped changing."""
    version, folder = versions[2], tmp_path / versions[2]
    candidates.refuse(version, REFUSAL)
    (folder / "late").write_bytes(b"1")
    assert candidates.next(versions[0]) is None
    (folder / "late").write_bytes(b"12")
    assert candidates.next(versions[0]) is None
    assert candidates.next(versions[0]) == version
    candidates.refuse(version, REFUSAL)
    os.utime(folder / "late", ns=(1, 1))
    assert candidates.next(versions[0]) is None
    assert candidates.next(versions[0]) == version


def test_a_folder_that_arrives_later_is_looked_at(
    candidates: Candidates, versions: list[str], tmp_path: Path
) -> None:
    """As when `CURRENT` was copied first."""
    late = tmp_path / "late"
    (tmp_path / versions[2]).rename(late)
    assert candidates.next(versions[0]) == versions[2]
    candidates.refuse(versions[2], REFUSAL)
    assert candidates.next(versions[0]) is None
    late.rename(tmp_path / versions[2])
    assert [candidates.next(versions[0]) for _ in range(2)] == [None, versions[2]]


def test_what_is_no_fault_of_the_bundle_is_tried_again_later(
    candidates: Candidates, versions: list[str], clock: Clock
) -> None:
    """A machine without memory or processes may have some in a minute."""
    candidates.refuse(versions[2], MemoryError())
    assert candidates.next(versions[0]) is None
    clock.now_s = 61
    assert candidates.next(versions[0]) == versions[2]


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, os.mkfifo])
def test_a_damaged_pointer_changes_nothing_and_a_start_finds_the_newest(
    candidates: Candidates, versions: list[str], tmp_path: Path, make: object
) -> None:
    """It is said once."""
    (tmp_path / CURRENT).unlink()
    make(tmp_path / CURRENT)  # type: ignore[operator]
    assert candidates.next(versions[0]) is None
    assert candidates.next(None) == versions[2]


def test_nothing_is_published(tmp_path: Path) -> None:
    """Nothing is tried, neither without a folder nor where it is a file."""
    (tmp_path / "file").touch()
    for name in ("none", "file", "file/below"):
        assert Candidates(Registry(tmp_path / name)).next(None) is None


def test_what_passed_here_before_comes_first(tmp_path: Path, versions: list[str]) -> None:
    """Before newer ones that nobody looked at: each may take minutes to be refused."""
    (tmp_path / CURRENT).write_bytes(b"")
    (tmp_path / f".checked-{versions[2]}").unlink()
    candidates = Candidates(Registry(tmp_path))
    tried = []
    while version := candidates.next(None):
        tried.append(version)
        candidates.refuse(version, REFUSAL)
    assert tried == [versions[1], versions[0], versions[2]]


def test_a_start_begins_with_what_passed_before(tmp_path: Path, versions: list[str]) -> None:
    """The check of what `CURRENT` names may take long: it follows."""
    (tmp_path / f".checked-{versions[2]}").unlink()
    candidates = Candidates(Registry(tmp_path))
    assert candidates.next(None) == versions[1]
    assert candidates.next(versions[1]) == versions[2]
    candidates.refuse(versions[2], REFUSAL)
    assert candidates.next(versions[1]) is None
