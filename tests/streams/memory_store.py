"""The twin of the Redis store, in dictionaries; it passes the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from freshet.core.errors import PositionError
from streams.store import NO_POSITION, Move, Position, Write


class MemoryStore:
    """Keeps state and positions in this process; `changes` holds what followers would read."""

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.changes: list[tuple[str, dict[str, list[Any]]]] = []

    async def position(self, key: str) -> Position:
        return dict(self.positions.get(key, {}))

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        return [self.hashes.get(key, {}).get(name) for name in names]

    async def apply(self, writes: Sequence[Write]) -> None:
        for write in writes:
            self._move(write.move)
            for changes in write.hashes:
                fields = self.hashes.setdefault(changes.key, {})
                for name in changes.delete:
                    fields.pop(name, None)
                fields |= dict(zip(changes.names, changes.values, strict=True))
            told = {what: list(ids) for what, ids in write.changed.items() if ids}
            if told:
                self.changes.append((write.move.changes_key, told))

    def _move(self, move: Move) -> None:
        found = self.positions.get(move.key, {}).get("next", NO_POSITION)
        if found != move.expected:
            raise PositionError(move.key, found, move.expected)
        self.positions[move.key] = dict(move.position)
