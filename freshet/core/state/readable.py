"""Reading records that may be damaged: what cannot be read is counted, named once and left out.

Law: one damaged record costs one user or one item, never a process. A record is checked by what its
writer always keeps to: its layout, its exact size, times that an event may have, known event types.
Whole state of another version is another matter: `meta` tells it, and the process refuses it.

The folds mend a record when they next write it: a damaged one counts as none, so an item or a user
starts again with their next event. What it held comes back only by folding the log again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import EVENT_TYPES, LATEST_TS_MS
from freshet.core.metrics import RECORDS_UNREADABLE
from freshet.core.state.past import PAGE_DTYPE
from freshet.core.state.records import (
    COVISIT_CAPACITY,
    COVISIT_DTYPE,
    HISTORY_LENGTH,
    ITEM_DTYPE,
    LAYOUT_VERSION,
    REBUILD,
    Records,
    interactions,
    packed_sizes,
    unpack_items,
    unpack_users,
)
from freshet.core.state.unwanted import UNWANTED_CAPACITY, UNWANTED_DTYPE

T = TypeVar("T")
Blobs = Sequence[bytes | None]
Faults = list[int]
"""Places of the records that cannot be read."""

_NAMED_AT_MOST: Final = 1_000

log = logging.getLogger(__name__)


def report_unreadable(kind: str, key: str, name: str = "", why: str = "") -> None:
    """Count what cannot be read, and name it in the log, each once.

    Args:
        kind: the last word of its key, such as `users`.
        key: where it is.
        name: its field or entry; of a user the `user_hash`, never the id.
        why: what is wrong with it, where that can be said.
    """
    RECORDS_UNREADABLE.labels(kind).inc()
    _name(key, name, why)


@lru_cache(maxsize=_NAMED_AT_MOST)
def _name(key: str, name: str, why: str) -> None:
    because = f" ({why})" if why else ""
    if name:
        log.error(
            "%s in %s cannot be read%s: it is left out until a worker writes it again; to have "
            "back what it held, rebuild the state: %s", name, key, because, REBUILD,
        )  # fmt: skip
    else:
        log.error(
            "%s cannot be read%s: it is left out; rebuild the state: %s", key, because, REBUILD
        )


def readable_users(blobs: Blobs) -> tuple[Records, Faults]:
    """Return (n,) of `USER_DTYPE`, writable, as `unpack_users` does; all zero for a damaged one."""
    lengths = np.array([-1 if blob is None else len(blob) for blob in blobs], np.int64)
    layouts = [blob[0] if blob else 0 for blob in blobs]
    faults = np.zeros(len(blobs), bool)
    heads = np.zeros(len(blobs), np.int64)
    for at in np.flatnonzero(lengths >= 0).tolist():
        sizes = packed_sizes(layouts[at])
        blob = blobs[at] or b""
        if sizes is None or len(blob) < sizes.smallest:
            faults[at] = True
            continue
        heads[at] = sizes.smallest + 2 * blob[sizes.n_older_at]
        faults[at] = not heads[at] <= len(blob) <= heads[at] + HISTORY_LENGTH * sizes.slot
    users = unpack_users([None if bad else blob for blob, bad in zip(blobs, faults, strict=True)])
    used = np.minimum(interactions(users), HISTORY_LENGTH)
    slot = users["history"].dtype.itemsize
    types = users["history"]["code"] >> 12  # (n, HISTORY_LENGTH)
    unknown = (types >= len(EVENT_TYPES)) & (np.arange(HISTORY_LENGTH) < used[:, None])
    faults |= (lengths >= 0) & ~faults & (lengths != heads + slot * used)
    faults |= unknown.any(axis=1) | (users["last_ts_ms"] > LATEST_TS_MS)
    users[faults] = np.zeros((), users.dtype)
    return users, np.flatnonzero(faults).tolist()


def readable_items(blobs: Blobs) -> tuple[Records, Faults]:
    """Return (n,) of `ITEM_DTYPE`, as `unpack_items` does; a damaged one was never acted on."""
    size = ITEM_DTYPE.itemsize
    faults = np.array(
        [
            blob is not None and (len(blob) != size or blob[0] != LAYOUT_VERSION)
            for blob in blobs
        ],
        bool,
    )  # fmt: skip
    items = unpack_items([None if bad else blob for blob, bad in zip(blobs, faults, strict=True)])
    first_ts_ms, last_ts_ms = items["first_ts_ms"], items["last_ts_ms"]
    faults |= (first_ts_ms < 0) | (first_ts_ms > last_ts_ms) | (last_ts_ms > LATEST_TS_MS)
    if faults.any():
        items[faults] = unpack_items([None])[0]
    return items, np.flatnonzero(faults).tolist()


def readable_covisits(blobs: Blobs) -> tuple[list[bytes | None], Faults]:
    """Return packed transitions as they are; None for what is damaged."""
    row, most = COVISIT_DTYPE.itemsize, COVISIT_CAPACITY * COVISIT_DTYPE.itemsize
    faults = [at for at, blob in enumerate(blobs) if blob and (len(blob) % row or len(blob) > most)]
    whole = _without(blobs, faults)
    if not np.frombuffer(b"".join([blob or b"" for blob in whole]), COVISIT_DTYPE)[
        "distance"
    ].all():
        faults += [at for at, blob in enumerate(whole) if blob and not _distances(blob).all()]
        whole = _without(blobs, faults)
    return whole, faults


def readable_unwanted(blob: bytes | None) -> tuple[bytes | None, bool]:
    """Return the packed rejections of a user, None where they are damaged, and whether they are."""
    most = UNWANTED_CAPACITY * UNWANTED_DTYPE.itemsize
    if not blob:
        return None, False
    if len(blob) % UNWANTED_DTYPE.itemsize == 0 and len(blob) <= most:
        rows = np.frombuffer(blob, UNWANTED_DTYPE)
        if (rows["type"] < len(EVENT_TYPES)).all():
            return blob, False
    return None, True


def readable_pages(pages: Blobs) -> tuple[list[bytes | None], Faults]:
    """Return the pages of a past as they are; None for one that is damaged."""
    faults = [at for at, page in enumerate(pages) if page and len(page) != PAGE_DTYPE.itemsize]
    return _without(pages, faults), faults


def readable_fields(
    kind: str, key: str, fields: Mapping[str, bytes], decode: Callable[[bytes], T]
) -> dict[str, T]:
    """Return the values of fields of a HASH, decoded; what cannot be is reported and left out.

    Args:
        kind: the last word of the key.
        key: of the HASH.
        fields: as they were read.
        decode: raises `ValueError` or an error of msgspec for what it does not know.
    """
    found = {}
    for name, value in fields.items():
        try:
            found[name] = decode(value)
        except (ValueError, msgspec.MsgspecError) as error:
            report_unreadable(kind, key, name, str(error))
    return found


def readable_number(value: bytes | None) -> int | None:
    """Return a number of a position or of the erased; None where there is none.

    Raises:
        ValueError: it is no number that Freshet writes.
    """
    if value is None:
        return None
    if len(value) > 19 or not value.isdigit():
        raise ValueError(f"{value[:40]!r}, expected a number")
    return int(value)


def is_wrong_type(error: object) -> bool:
    """Return whether a command failed because the key holds a value of another type."""
    return str(error).startswith("WRONGTYPE")


def _without(blobs: Blobs, faults: Faults) -> list[bytes | None]:
    kept = list(blobs)
    for at in faults:
        kept[at] = None
    return kept


def _distances(blob: bytes) -> NDArray[Any]:
    return np.asarray(np.frombuffer(blob, COVISIT_DTYPE)["distance"])
