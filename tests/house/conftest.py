"""What the tests of the house look at: the repository itself."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def reference(root: Path) -> ModuleType:
    """scripts/reference.py, as a module."""
    spec = importlib.util.spec_from_file_location("reference", root / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scripts_of_environment() -> Path:
    """The folder of the environment's console scripts."""
    return Path(sys.executable).parent
