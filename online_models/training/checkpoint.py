"""What a learner keeps between two lives: one file, replaced whole, and one learner at a time."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from freshet.core.errors import FreshetError


class CheckpointError(FreshetError):
    """A checkpoint that cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"checkpoint {path}: {reason}. Without the file, learning begins anew from the bundle "
            "in use and from the oldest example that Kafka has"
        )
        self.path = path
        self.reason = reason


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state; a reader sees the old one or the new one, whenever this process ends.

    Args:
        path: of the file.
        state: tensors, numbers, strings, and dictionaries and lists of these.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".staged")
    with staged.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the state in a file, None where there is no file.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(path, f"it cannot be read ({error})") from error
    return state


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Keep a second learner away from a checkpoint, for as long as this process lives.

    Raises:
        CheckpointError: there is another one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(path, "another process learns with it") from error
        yield
