"""The twin of the Redis store, in dictionaries; it passes the same tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from freshet.core.errors import PositionError
from streams.store import NO_POSITION, FieldChanges, Position


class MemoryStore:
    """Keeps state and positions in this process; `changes` holds what followers would read."""

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.values: dict[str, bytes] = {}
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.changes: list[tuple[str, dict[str, list[Any]]]] = []

    async def position(self, key: str) -> Position:
        return dict(self.positions.get(key, {}))

    async def strings(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.values.get(key) for key in keys]

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        return [self.hashes.get(key, {}).get(name) for name in names]

    async def apply_users(
        self,
        position_key: str,
        changes_key: str,
        expected: int,
        position: Position,
        users: Mapping[str, bytes],
        user_ids: Sequence[str],
        ttl_s: int,
    ) -> None:
        self._move(position_key, expected, position)
        self.values |= users
        if user_ids:
            self.changes.append((changes_key, {"users": list(user_ids)}))

    async def apply_fields(
        self,
        position_key: str,
        changes_key: str,
        expected: int,
        position: Position,
        hashes: Sequence[FieldChanges],
        changed: Mapping[str, Sequence[Any]],
    ) -> None:
        self._move(position_key, expected, position)
        for changes in hashes:
            fields = self.hashes.setdefault(changes.key, {})
            for name in changes.delete:
                fields.pop(name, None)
            fields |= changes.put
        told = {what: list(ids) for what, ids in changed.items() if ids}
        if told:
            self.changes.append((changes_key, told))

    def _move(self, key: str, expected: int, position: Position) -> None:
        found = self.positions.get(key, {}).get("next", NO_POSITION)
        if found != expected:
            raise PositionError(key, found, expected)
        self.positions[key] = dict(position)
