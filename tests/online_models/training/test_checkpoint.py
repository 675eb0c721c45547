"""A checkpoint is the old one or the new one, and belongs to one learner."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from online_models.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    only_one,
    save_checkpoint,
)

pytestmark = pytest.mark.training


def test_there_is_none_in_the_beginning(tmp_path: Path) -> None:
    """Nothing was learned yet."""
    assert load_checkpoint(tmp_path / "none") is None


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    """What is half written is never read."""
    path = tmp_path / "learner"
    save_checkpoint(path, {"steps": 1, "weights": torch.ones(2)})
    with pytest.raises(AttributeError):
        save_checkpoint(path, {"steps": 2, "unsavable": lambda: 0})
    state = load_checkpoint(path)
    assert state is not None
    assert state["steps"] == 1
    assert state["weights"].tolist() == [1, 1]


@pytest.mark.parametrize("kept", [0, 10, 400])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, kept: int) -> None:
    """Wherever it was cut."""
    path = tmp_path / "learner"
    save_checkpoint(path, {"weights": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="learning begins anew"):
        load_checkpoint(path)


def test_a_second_learner_is_kept_away(tmp_path: Path) -> None:
    """Until the first has ended."""
    path = tmp_path / "learner"
    with only_one(path), pytest.raises(CheckpointError, match="another process"), only_one(path):
        pass
    with only_one(path):
        pass
