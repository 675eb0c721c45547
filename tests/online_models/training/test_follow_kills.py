"""A follower is killed at any moment: the bundle stays whole, and nothing is learned twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from online_models.artifacts.manifest import RANKER
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from online_models.training.checkpoint import load_checkpoint

from .synthetic_stream import registry

pytestmark = [pytest.mark.training, pytest.mark.services]

SCRIPT = Path(__file__).with_name("follow_process.py")
EXAMPLES = 1_500


def life(folder: Path, kill: str) -> int:
    """One life of the process; its exit code."""
    command = [sys.executable, str(SCRIPT), str(folder / "models"), str(folder / "learner")]
    ended = subprocess.run(
        [*command, str(EXAMPLES), kill], check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode


def lived(folder: Path, *kills: str) -> tuple[dict[str, Any], Registry]:
    """The checkpoint after some lives, the last of which is not cut short."""
    publish_tiny_bundle(folder / "models", tiny_items(20))
    for kill in kills:
        assert life(folder, kill) == -signal.SIGKILL
        models = registry(folder / "models")
        current = models.current()
        assert current is not None
        models.load(current)
    assert life(folder, "never") == 0
    state = load_checkpoint(folder / "learner")
    assert state is not None
    return state, registry(folder / "models")


def tensors(state: Any, name: str = "") -> dict[str, Any]:
    """Every value in a state by its path."""
    if isinstance(state, list):
        state = dict(enumerate(state))
    if not isinstance(state, dict):
        return {name: state}
    return {k: v for key in state for k, v in tensors(state[key], f"{name}/{key}").items()}


def test_killed_anywhere_it_comes_to_the_same_weights(tmp_path: Path) -> None:
    """In the middle of a mini-batch, and between publication and checkpoint."""
    whole, models = lived(tmp_path / "whole")
    cut, cut_models = lived(tmp_path / "cut", "450", "published", "1290")
    assert whole["published"] == cut["published"] >= 1
    expected, found = tensors(whole["learner"]), tensors(cut["learner"])
    assert expected.keys() == found.keys()
    different = [
        name
        for name, value in expected.items()
        if not (
            torch.equal(value, found[name])
            if isinstance(value, torch.Tensor)
            else value == found[name]
        )
    ]
    assert not different
    assert len(cut_models.versions()) == len(models.versions())
    assert cut_models.current() == cut["base"]
    rankers = [
        each.manifest(state["base"]).files[RANKER].sha256
        for each, state in ((models, whole), (cut_models, cut))
    ]
    assert rankers[0] == rankers[1]
