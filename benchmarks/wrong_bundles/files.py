"""Files that are damaged, gone, of another kind or somewhere else."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.wrong_bundles.case import OUTSIDE, Case
from online_models.artifacts.manifest import INDEX, MANIFEST, RANKER, REQUIRED_FILES

Damage = Callable[[Path, Path], object]


def cases() -> Iterator[Case]:
    """Yield every file flipped, cut, missing and exchanged, and files that are none."""
    for name in sorted(REQUIRED_FILES | {INDEX}):
        yield Case(f"{name} flipped", _flip(name), f"{name} differs from its SHA-256")
        yield Case(f"{name} cut", _cut(name), f"{name} has .* bytes, expected")
        yield Case(f"{name} missing", _remove(name), f"{name} cannot be read")
    for name in sorted(REQUIRED_FILES - {"hashes.npy", "item_ids.json"}):  # those are the same
        yield Case(f"{name} of another bundle", _exchange(name), f"{name} (differs|has)")
    for name in (MANIFEST, RANKER, INDEX):
        yield Case(f"{name} a FIFO", _replace(name, os.mkfifo), f"{name} is a FIFO")
        yield Case(f"{name} a folder", _replace(name, os.mkdir), f"{name} is a folder")
        yield Case(f"{name} a socket", _replace(name, _socket), f"{name} is a socket")
        yield Case(f"{name} a link out", _link_out(name), f"{name} is a symbolic link")
        yield Case(f"{name} a link to a device", _replace(name, _zeros), "is a symbolic link")
        yield Case(f"{name} a link to itself", _replace(name, _loop), "is a symbolic link")
        yield Case(f"{name} of 1 GB", _grow(name), f"{name} has .* bytes, expected")
    yield Case("a folder that is a link", _link_folder, "it is a symbolic link")
    yield Case("a folder that is a file", _file_for_folder, "it is a file|no such version")
    yield Case("an empty folder", _empty, "manifest.json cannot be read")


def _flip(name: str) -> Damage:
    def damage(folder: Path, _: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return damage


def _cut(name: str) -> Damage:
    return lambda folder, _: os.truncate(folder / name, (folder / name).stat().st_size - 1)


def _grow(name: str) -> Damage:
    return lambda folder, _: os.truncate(folder / name, 1 << 30)


def _remove(name: str) -> Damage:
    return lambda folder, _: (folder / name).unlink()


def _exchange(name: str) -> Damage:
    return lambda folder, other: shutil.copyfile(other / name, folder / name)


def _replace(name: str, make: Callable[[Path], object]) -> Damage:
    def damage(folder: Path, _: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def _link_out(name: str) -> Damage:
    def damage(folder: Path, _: Path) -> None:
        target = folder.parent / OUTSIDE / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / name, target)
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return damage


def _socket(path: Path) -> None:
    """Leave the name of a socket; it is bound by a short name, for the long one may not fit."""
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _link_folder(folder: Path, _: Path) -> None:
    target = folder.parent / OUTSIDE / "linked"
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(folder, target)
    folder.symlink_to(target)


def _file_for_folder(folder: Path, _: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"")


def _empty(folder: Path, _: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
