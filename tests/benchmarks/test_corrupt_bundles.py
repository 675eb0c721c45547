"""Every wrong bundle of the benchmark is refused, and for what is wrong with it."""

import shutil
from pathlib import Path

import pytest

from benchmarks.wrong_bundles import files, items, manifests, models
from benchmarks.wrong_bundles.case import Case, write_good
from freshet.core.errors import BundleError
from online_models.artifacts.check import check_in_child, load_bundle

CASES = [case for room in (files, manifests, items, models) for case in room.cases()]
CHECK_S = 60.0


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good bundles."""
    folder = tmp_path_factory.mktemp("good")
    write_good(folder / "one")
    write_good(folder / "other", seed=1)
    return folder


@pytest.fixture
def wrong(good: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(good / "one", tmp_path / "wrong"))


def test_the_good_bundles_pass(good: Path) -> None:
    """Or nothing that is refused below would say anything."""
    load_bundle(good / "one")
    load_bundle(good / "other")


def test_the_cases_have_names_of_their_own() -> None:
    """And there are many."""
    assert len({case.name for case in CASES}) == len(CASES) >= 50


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.in_child], ids=lambda c: c.name
)
def test_a_wrong_bundle_is_refused_in_words(case: Case, good: Path, wrong: Path) -> None:
    """By the check in this process, which survives it."""
    case.damage(wrong, good / "other")
    with pytest.raises(BundleError, match=case.words):
        load_bundle(wrong)


@pytest.mark.services
@pytest.mark.parametrize("case", [case for case in CASES if case.in_child], ids=lambda c: c.name)
def test_a_dangerous_bundle_is_refused_by_the_child(case: Case, good: Path, wrong: Path) -> None:
    """It takes the time, the memory or the life of the child alone."""
    case.damage(wrong, good / "other")
    with pytest.raises(BundleError, match=case.words):
        check_in_child(wrong)
