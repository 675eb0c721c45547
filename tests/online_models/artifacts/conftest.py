"""A small real bundle, made once and copied by whoever damages it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from online_models.artifacts.tiny import tiny_items, write_tiny_bundle

N_ITEMS = 300


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, never to be written."""
    folder = tmp_path_factory.mktemp("bundle") / "pristine"
    write_tiny_bundle(folder, tiny_items(N_ITEMS))
    return folder


@pytest.fixture
def copied(pristine: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes copies of the bundle, each in a folder of its own."""
    made: list[Path] = []

    def copy() -> Path:
        made.append(tmp_path / f"copy-{len(made)}")
        shutil.copytree(pristine, made[-1])
        return made[-1]

    return copy
