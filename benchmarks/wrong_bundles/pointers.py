"""A `CURRENT` that names no bundle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.wrong_bundles.case import OUTSIDE

NOWHERE = "20991231T235959-00000000"


def pointers() -> dict[str, tuple[Callable[[Path], object], str]]:
    """Return what makes each, and a part of the words with which it is refused."""
    no_list = "it is no list of versions"
    return {
        "binary": (lambda path: path.write_bytes(bytes(range(256))), no_list),
        "empty": (lambda path: path.write_bytes(b""), no_list),
        "a space": (lambda path: path.write_bytes(b" "), no_list),
        "a path out": (lambda path: path.write_text("../../etc\n"), no_list),
        "half a version": (lambda path: path.write_text("20261122T04"), no_list),
        "a version that is not there": (lambda path: path.write_text(f"{NOWHERE}\n"), "no such"),
        "huge": (_huge, "expected at most"),
        "a folder": (os.mkdir, "is a folder"),
        "a FIFO": (os.mkfifo, "is a FIFO"),
        "a link out": (_link_out, "is a symbolic link"),
        "a link to itself": (lambda path: path.symlink_to(path.name), "is a symbolic link"),
    }


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 34)


def _link_out(path: Path) -> None:
    target = path.parent / OUTSIDE / "pointer"
    target.parent.mkdir(exist_ok=True)
    target.write_text(f"{NOWHERE}\n")
    path.symlink_to(target)
