"""The store in the dictionaries of this process: the twin of the Redis store, in the same tests.

For whoever lives a log without Redis: the judge, the trainer and the tests of the folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from freshet.core.errors import PositionError
from streams.store import NO_POSITION, Move, Position, Wanted, Write


class MemoryStore:
    """Keeps state and positions.

    Attributes:
        positions: by key.
        hashes: fields and values, by key.
        changes: what followers would read: the STREAM's key, and ids by what changed.
    """

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.changes: list[tuple[str, dict[str, list[Any]]]] = []

    async def position(self, key: str) -> Position:
        """Return the position; see `Store`."""
        return dict(self.positions.get(key, {}))

    async def fields(self, wanted: Wanted) -> list[list[bytes | None]]:
        """Return the values of some fields of some HASHes; see `Store`."""
        return [[self.hashes.get(key, {}).get(name) for name in names] for key, names in wanted]

    async def numbers(self, key: str) -> dict[str, int]:
        """Return all fields of a HASH of numbers; see `Store`."""
        return {name: int(value) for name, value in self.hashes.get(key, {}).items()}

    async def scan(self, key: str, cursor: int, count: int) -> tuple[int, dict[bytes, bytes]]:
        """Return some fields of a HASH and where to go on; see `Store`."""
        fields = sorted(self.hashes.get(key, {}).items())
        after = cursor + count if cursor + count < len(fields) else 0
        return after, {name.encode(): blob for name, blob in fields[cursor : cursor + count]}

    async def apply(self, writes: Sequence[Write]) -> None:
        """Write the fields and positions of some partitions; see `Store`."""
        for write in writes:
            self._move(write.move)
            for changes in write.hashes:
                fields = self.hashes.setdefault(changes.key, {})
                for name in changes.delete:
                    fields.pop(name, None)
                fields |= dict(zip(changes.names, changes.values.values(), strict=True))
            told = {what: list(ids) for what, ids in write.changed.items() if ids}
            if told:
                self.changes.append((write.move.changes_key, told))

    def _move(self, move: Move) -> None:
        found = self.positions.get(move.key, {}).get("next", NO_POSITION)
        if found != move.expected:
            raise PositionError(move.key, found, move.expected)
        self.positions[move.key] = dict(move.position)
