"""Which version a process should try next, and which it tried in vain.

Law: the version in use stays until a better one was taken. A refused one is tried again when its
files have changed and then been still, since they may arrive after the manifest. A process that has
none begins with one that passed before, and goes on to what `CURRENT` names; where that is refused,
the newest good one stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from os import scandir
from time import monotonic
from typing import Final

from freshet.core.errors import BundleError
from online_models.artifacts.registry import Registry

MAX_ATTEMPTS: Final = 10
"""Versions that are tried before anything else is done; the next look goes on with others."""

_AGAIN_S: Final = 60.0
_ENTRIES: Final = 256

Signature = tuple[tuple[object, ...], ...]

log = logging.getLogger(__name__)


class Candidates:
    """Chooses from a registry.

    Args:
        registry: the published bundles.
        now_s: a monotonic clock.
    """

    def __init__(self, registry: Registry, now_s: Callable[[], float] = monotonic) -> None:
        self._registry = registry
        self._now_s = now_s
        self._refused: dict[str, tuple[Signature, float]] = {}
        self._changed: dict[str, Signature] = {}
        self._said = ""

    def next(self, in_use: str | None) -> str | None:
        """Return the version to try now, None where nothing is to be done.

        Args:
            in_use: what this process uses, None for nothing.
        """
        damaged, wanted = False, None
        try:
            wanted = self._registry.current()
        except Exception as error:  # whatever is there, the bundle in use stays
            damaged = True
            self._say_once(str(error))
        else:
            self._said = ""
        if in_use is None and (damaged or wanted):
            return next(filter(self._may_try, self._from_nothing(wanted)), None)
        if wanted is not None and wanted != in_use and self._may_try(wanted):
            return wanted
        return None

    def refuse(self, version: str, error: Exception) -> None:
        """Note that a version cannot be used; what it lies in is looked at again later.

        Args:
            version: that was tried.
            error: `BundleError` where the bundle is to blame. Anything else may be the fault of a
                machine without memory or processes, and is tried again after a minute.
        """
        again_s = float("inf") if isinstance(error, BundleError) else self._now_s() + _AGAIN_S
        self._refused[version] = self._signature(version), again_s

    def _may_try(self, version: str) -> bool:
        if version not in self._refused:
            return True
        signature, again_s = self._refused[version]
        found = self._signature(version)
        if found == signature:
            self._changed.pop(version, None)
            return self._now_s() >= again_s
        still = self._changed.get(version) == found
        self._changed[version] = found
        return still

    def _from_nothing(self, wanted: str | None) -> Iterator[str]:
        """Yield all versions: those that passed before, since their check is short, then others.

        Among those of a kind, what `CURRENT` names comes first, and the newest before the older.
        """
        try:
            versions = self._registry.versions()[::-1]
        except OSError as error:
            self._say_once(f"{self._registry.models_dir} cannot be read: {error}")
            versions = []
        if wanted is not None and wanted not in versions:
            versions.append(wanted)
        yield from sorted(
            versions, key=lambda each: (not self._registry.passed(each), each != wanted)
        )

    def _signature(self, version: str) -> Signature:
        """Return what changes when a file of a version does; empty where it cannot be seen."""
        try:
            with scandir(self._registry.models_dir / version) as entries:
                found = [
                    (entry.name, status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns)
                    for entry in islice(entries, _ENTRIES)
                    for status in [entry.stat(follow_symlinks=False)]
                ]
        except OSError:
            return ()
        return tuple(sorted(found))

    def _say_once(self, sentence: str) -> None:
        if sentence != self._said:
            log.warning(sentence)  # repeated lines are held back by their template
        self._said = sentence
