"""Whether Redis still has what a fold wrote together: the state of a partition and its position.

Law: one without the other is refused. Both are written by one script, so nobody but Redis itself or
somebody by hand can have dropped one of them. Without its position a partition would be counted
again, without its state what was counted would be lost, and neither would be seen.

Another worker may write both between two looks, so the position is read again before anything is
said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from freshet.core.errors import SettingError
from freshet.core.state.records import REBUILD
from streams.store import Position, Store

_LOOKS: Final = 3
_WHY: Final = (
    f"Redis or somebody has dropped it. `freshet doctor` shows the maxmemory-policy; then {REBUILD}"
)


@dataclass(frozen=True, slots=True)
class Held:
    """What a fold keeps of a partition, beside its position.

    Attributes:
        keys: HASHes, some of which may be empty.
        counted: the one of them that has a field as soon as an event was applied, "" for none.
    """

    keys: Sequence[str] = ()
    counted: str = ""


async def whole_position(store: Store, name: str, key: str, held: Held) -> Position:
    """Return the position of a partition.

    Args:
        store: holds it.
        name: of the partition.
        key: of the position.
        held: what belongs to it.

    Raises:
        SettingError: the position is there and the state is not, or the other way round.
        ServiceError: the store failed.
    """
    position = await store.position(key)
    for _ in range(_LOOKS):
        problem = await _problem(store, name, position, held)
        if problem is None:
            return position
        before, position = position, await store.position(key)
        if position == before:
            raise problem
    return position  # another worker writes all the time: the first write tells


async def _problem(store: Store, name: str, position: Position, held: Held) -> SettingError | None:
    if "next" not in position:
        for key in held.keys:
            if await _has_fields(store, key):
                return SettingError(
                    f"position of {name}",
                    "missing",
                    f"one beside the state in {key}, which would be counted again: {_WHY}",
                )
        return None
    applied = 0 if position.get("erasures", 0) else position.get("applied", 0)
    if applied and held.counted and not await _has_fields(store, held.counted):
        return SettingError(
            f"state of {name}",
            "missing",
            f"{held.counted} beside a position at which {applied:,} records were applied: {_WHY}",
        )
    return None


async def _has_fields(store: Store, key: str) -> bool:
    cursor, found = await store.scan(key, 0, 1)
    return bool(found) or cursor != 0
