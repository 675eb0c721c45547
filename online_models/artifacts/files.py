"""Reading the files of a folder that somebody else may have written.

Law: only a regular file of bounded size is read. A link could lead out of the folder, a FIFO or a
device never ends, and opening one may already wait; each of them is a `BundleError` in words.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from freshet.core.errors import BundleError

_CHUNK_BYTES: Final = 1 << 20
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def opened(folder: Path, name: str, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Open a regular file and give its descriptor and its size in bytes.

    Args:
        folder: where it is.
        name: of the file.
        max_bytes: that it may have.

    Raises:
        BundleError: it cannot be read, is no regular file, or is larger.
    """
    path = folder / name
    try:
        _require_regular(folder, name, path.lstat())
        # It may be exchanged after the look, so nothing is followed or waited for here either.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BundleError(folder, f"{name} cannot be read ({error.strerror})") from error
    try:
        status = os.fstat(descriptor)
        _require_regular(folder, name, status)
        if status.st_size > max_bytes:
            raise BundleError(
                folder, f"{name} has {status.st_size:,} bytes, expected at most {max_bytes:,}"
            )
        yield descriptor, status.st_size
    except OSError as error:
        raise BundleError(folder, f"{name} cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


def read_bytes(folder: Path, name: str, max_bytes: int) -> bytearray:
    """Return the content of a regular file; it can be written, as arrays want it.

    Raises:
        BundleError: it cannot be read, is no regular file, or is larger.
    """
    with opened(folder, name, max_bytes) as (descriptor, size):
        content = bytearray(size)
        view, read = memoryview(content), 0
        while read < size and (count := os.readv(descriptor, [view[read:]])):
            read += count
    view.release()
    del content[read:]  # it was cut while it was read
    return content


def size_of(folder: Path, name: str, max_bytes: int) -> int:
    """Return the size of a regular file in bytes.

    Raises:
        BundleError: it cannot be read, is no regular file, or is larger.
    """
    with opened(folder, name, max_bytes) as (_, size):
        return size


def sha256_of(folder: Path, name: str, max_bytes: int) -> str:
    """Return the digest of a regular file, in hexadecimal digits.

    Raises:
        BundleError: it cannot be read, is no regular file, or is larger.
    """
    digest = hashlib.sha256()
    with opened(folder, name, max_bytes) as (descriptor, _):
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def require_folder(folder: Path) -> None:
    """Refuse what is no folder of its own.

    Raises:
        BundleError: there is none, or it is a link or a file.
    """
    try:
        mode = folder.lstat().st_mode
    except OSError as error:
        raise BundleError(folder, "there is no such version") from error
    if not stat.S_ISDIR(mode):
        raise BundleError(
            folder, f"it is {_kind(mode)}, expected a folder: copy the bundle itself here"
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the failure of a write below `folder` into a sentence.

    Raises:
        BundleError: there is no space left, no permission, or the disk failed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT} or _cut_short(error):
            reason = f"there is no space left in {folder}; free some and do it again"
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            reason = f"{folder} cannot be written ({error.strerror}); give this user the permission"
        else:
            reason = f"{folder} cannot be written ({error})"
        raise BundleError(error.filename or folder, reason) from error


def _cut_short(error: OSError) -> bool:
    """Whether numpy says, without a number, that a write was cut short."""
    return error.errno is None and "requested and" in str(error)


def _require_regular(folder: Path, name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(folder, f"{name} is {_kind(status.st_mode)}, expected a regular file")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a file")
