"""What users do not want to be offered, written by the user fold beside their records.

Law: event time decides, not the order of arrival. Of an item the newest rejection is kept, and one
of `TAKES_BACK` takes it out unless it is older. Folding a log in one batch or in many gives the
same bytes, so rows expire by the newest rejection of the user, and only when another one comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from freshet.core.events.schema import TAKES_BACK
from freshet.core.state.keys import Keys
from freshet.core.state.readable import readable_unwanted
from freshet.core.state.records import USER_DTYPE, Records
from freshet.core.state.unwanted import UNWANTED_CAPACITY, UNWANTED_DTYPE, unpack_unwanted
from streams.packed import Packed
from streams.record_table import RecordTable
from streams.store import Changes, Store

NEW = 2
"""`has_unwanted` of a user for whom the fold under way found the first row."""

Unwanted = dict[int, tuple[int, int]]
"""Time in seconds and type of the newest rejection of each item, by the item's hash."""


class UserTable(RecordTable):
    """Records of users, and what those do not want, as far as a round needed it.

    Attributes:
        hashes: (n or more,) uint64 of the names of the rows.
        unwanted: by row. It holds what Redis will hold when all that was folded is written, so a
            row that is in here is never read from Redis again.
    """

    def __init__(self) -> None:
        super().__init__(USER_DTYPE)
        self.hashes = np.zeros(len(self.records), np.uint64)
        self.unwanted: dict[int, Unwanted] = {}

    def add(self, names: Sequence[str], records: Records) -> None:
        """Add records and hashes; see `RecordTable`."""
        start = len(self)
        super().add(names, records)
        if len(self.hashes) < len(self.records):
            self.hashes = np.resize(self.hashes, len(self.records))
        digest = xxhash.xxh3_64_intdigest
        self.hashes[start : len(self)] = [digest(name.encode()) for name in names]


def unpack(blob: bytes | None) -> Unwanted:
    """Return what Redis holds of a user.

    >>> unpack(pack({7: (100, 5), 8: (200, 8)})) == {8: (200, 8), 7: (100, 5)}
    True
    """
    sound, _ = readable_unwanted(blob)  # the server reports a damaged one; here it ends
    return {item: (ts_s, kind) for item, ts_s, kind in unpack_unwanted(sound).tolist()}


def pack(unwanted: Unwanted) -> bytes:
    """Return rows of `UNWANTED_DTYPE`, newest first."""
    rows = sorted((-ts_s, item, kind) for item, (ts_s, kind) in unwanted.items())
    return np.array([(item, -ts_s, kind) for ts_s, item, kind in rows], UNWANTED_DTYPE).tobytes()


def take(unwanted: Unwanted, item: int, ts_s: int, kind: int, ttl_s: int) -> bool:
    """Take an event into what a user does not want.

    Args:
        unwanted: changed.
        item: hash of the item.
        ts_s: event time.
        kind: type code, of `REJECTION` or of `TAKES_BACK`.
        ttl_s: rejections so much older than the newest one are dropped; 0 for none.

    Returns:
        Whether anything changed.
    """
    found = unwanted.get(item)
    if TAKES_BACK[kind]:
        if found is None or found[0] > ts_s:
            return False
        del unwanted[item]
        return True
    if found is not None and found[0] > ts_s:
        return False
    unwanted[item] = ts_s, kind
    if ttl_s:
        newest_s = max(each for each, _ in unwanted.values())
        for old in [old for old, (each, _) in unwanted.items() if each + ttl_s <= newest_s]:
            del unwanted[old]
    if len(unwanted) > UNWANTED_CAPACITY:
        del unwanted[min(unwanted, key=lambda each: (unwanted[each][0], each))]
    return True


async def fold_unwanted(
    store: Store, keys: Keys, table: UserTable, rows: NDArray[Any], ttl_s: int
) -> dict[int, list[Changes]]:
    """Take the rejections of a round, and what takes some back, into what users do not want.

    Args:
        store: what was rejected before is read from it, of the users of the rows.
        keys: of the namespace.
        table: `has_unwanted` of its records is brought up to date.
        rows: (r,) of `UNWANTED_ROW_DTYPE`, in the order of the events.
        ttl_s: see `take`.

    Returns:
        The changes of each partition.

    Raises:
        ServiceError: the store failed.
    """
    users = list(dict.fromkeys(rows["user"].tolist()))
    await _load(store, keys, table, users)
    changed: set[int] = set()
    columns = (rows[name].tolist() for name in ("user", "item", "ts_s", "type"))
    for user, item, ts_s, kind in zip(*columns, strict=True):
        if take(table.unwanted[user], item, ts_s, kind, ttl_s):
            changed.add(user)
    table.records["has_unwanted"][users] = [bool(table.unwanted[user]) for user in users]
    by_partition: defaultdict[int, list[int]] = defaultdict(list)
    for user in users:
        if user in changed:
            by_partition[int(table.records["partition"][user])].append(user)
    return {
        partition: [_changes(keys.unwanted(partition), table, some)]
        for partition, some in by_partition.items()
    }


def _changes(key: str, table: UserTable, users: Sequence[int]) -> Changes:
    kept = [user for user in users if table.unwanted[user]]
    return Changes(
        key,
        [table.names[user] for user in kept],
        Packed.of([pack(table.unwanted[user]) for user in kept]),
        delete=[table.names[user] for user in users if not table.unwanted[user]],
    )


async def _load(store: Store, keys: Keys, table: UserTable, users: Sequence[int]) -> None:
    missing: defaultdict[int, list[int]] = defaultdict(list)
    for user in users:
        if table.records["has_unwanted"][user] == NEW:  # whatever is left of one who was erased
            table.unwanted[user] = {}
        elif user not in table.unwanted:
            missing[int(table.records["partition"][user])].append(user)
    wanted = [
        (keys.unwanted(partition), [table.names[user] for user in some])
        for partition, some in missing.items()
    ]
    found = await store.fields(wanted) if wanted else []
    for some, blobs in zip(missing.values(), found, strict=True):
        for user, blob in zip(some, blobs, strict=True):
            table.unwanted[user] = unpack(blob)
