"""Where each partition that was assigned starts, checked against the end of its log.

Law: an end is read after the position that it is compared with. A worker that has not noticed a
rebalance may still apply a partition while this one starts on it, so an end that was read first may
be before a position that is right. And nobody is advised to leave state behind on one look: both
are read again, several times. A position that moves meanwhile is another worker's: then this one
ends and is started again, as after any fault that passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from faust.types import TP

from freshet.core.errors import ServiceError, SettingError

ReadEnds = Callable[[Iterable[TP]], Awaitable[Mapping[TP, int | None]]]
"""Reads the offset that the next record of each partition will get, None where none is known."""

StartPartition = Callable[[TP], Awaitable[int]]
"""Loads a partition's state from Redis and returns the offset to start from."""

LOOKS: Final = 6
LOOK_AGAIN_S: Final = 0.5  # a new leader needs a moment until it knows what was acknowledged


async def start_offsets(
    assigned: Iterable[TP],
    start: StartPartition,
    ends: ReadEnds,
    *,
    look_again_s: float = LOOK_AGAIN_S,
) -> dict[TP, int]:
    """Start partitions; return the offset of each to read from, at most the end of its log.

    Args:
        assigned: the partitions.
        start: see `StartPartition`; called again for a partition that is looked at again.
        ends: see `ReadEnds`.
        look_again_s: between two looks at what does not fit.

    Raises:
        SettingError: a position stays behind the end of its log: the state is of another log.
        ServiceError: it does not fit either, but may pass: it moves, or the end is not known.
    """
    found = {tp: await start(tp) for tp in assigned}
    first = dict(found)
    known = await ends(found)
    doubtful = _behind(found, known)
    for _ in range(LOOKS):
        if not doubtful:
            return found
        await asyncio.sleep(look_again_s)
        found |= {tp: await start(tp) for tp in doubtful}
        known = await ends(doubtful)
        doubtful = _behind({tp: found[tp] for tp in doubtful}, known)
    for tp in doubtful:
        raise _refusal(tp, first[tp], found[tp], known.get(tp))
    return found


def _behind(positions: Mapping[TP, int], ends: Mapping[TP, int | None]) -> list[TP]:
    """Return the partitions whose position is behind the end of the log, as far as it is known."""
    return [tp for tp, position in positions.items() if position > (ends.get(tp) or 0)]


def _refusal(tp: TP, first: int, position: int, end: int | None) -> ServiceError | SettingError:
    name = f"{tp.topic}-{tp.partition}"
    if end is None:
        return ServiceError(
            "kafka",
            f"the end of {name} is not known, expected one at or after the position {position}; "
            "the worker starts again and asks again",
        )
    if position != first:
        return ServiceError(
            "kafka",
            f"the position of {name} moved from {first} to {position} while this worker started, "
            f"and the log ends at {end}: another worker still applies the partition. This one "
            "starts again",
        )
    return SettingError(
        f"position of {name}",
        position,
        f"at most {end}, the end of the log, as {1 + LOOKS} looks in a row have shown: the topic "
        "was created anew or the state in Redis belongs to another Kafka cluster. Start under a "
        "new FRESHET_NAMESPACE and replay",
    )
