"""The seen filter: which items a user has acted on, in a fixed number of bits.

A Bloom filter (Bloom 1970) of two generations. Items fill one generation; when it holds
`GENERATION_ITEMS`, the other is emptied and filled next. So the last 64 to 128 items are always
remembered, nothing is ever forgotten early, and at most about one unseen item in twenty is taken
for a seen one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GENERATION_ITEMS = 64
PROBES = 4


def probes(hashes: NDArray[np.uint32], n_bits: int) -> NDArray[np.int64]:
    """Return the bits that stand for each item, (n, PROBES), by double hashing.

    Kirsch and Mitzenmacher, "Less hashing, same performance" (2006).
    """
    h = hashes.astype(np.uint64)[:, None]
    mixed = (h * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    step = mixed | np.uint64(1)
    return ((h + np.arange(PROBES, dtype=np.uint64) * step) % np.uint64(n_bits)).astype(np.int64)


def add_items(
    seen: NDArray[np.uint8],
    count: NDArray[np.int64],
    user: NDArray[np.int64],
    number: NDArray[np.int64],
    hashes: NDArray[np.uint32],
) -> NDArray[np.uint8]:
    """Add items to the filters of their users.

    Args:
        seen: (u, 2, bytes) filters.
        count: (u,) items that each filter had taken before.
        user: (e,) row of each event's user.
        number: (e,) running number, from 0, that the item gets among its user's items.
        hashes: (e,) uint32 item hashes.

    Returns:
        (u, 2, bytes) new filters; the arguments are left as they are. The result is the same
        whether the items come in one call or in many.
    """
    n_users, generations, n_bytes = seen.shape
    filters = seen.copy()
    generation = number // GENERATION_ITEMS
    newest = np.where(count > 0, (count - 1) // GENERATION_ITEMS, -1)
    np.maximum.at(newest, user, generation)
    last = np.where(count > 0, (count - 1) // GENERATION_ITEMS, -1)
    for slot in range(generations):
        # The newest generation that a slot holds now; when it is a later one than before the
        # call, what the slot held has been forgotten.
        held = newest - (newest - slot) % generations
        filters[(held > last) & (held >= 0), slot] = 0
    kept = generation > newest[user] - generations
    rows, slots = user[kept], generation[kept] % generations
    bits = probes(hashes[kept], n_bytes * 8)  # (e, PROBES)
    flat = filters.reshape(n_users, generations, n_bytes)
    for probe in range(PROBES):
        bit = bits[:, probe]
        np.bitwise_or.at(flat, (rows, slots, bit >> 3), np.uint8(1) << (bit & 7).astype(np.uint8))
    return filters


def contains(seen: NDArray[np.uint8], hashes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return whether one user has seen each item.

    Args:
        seen: (2, bytes) filter of the user.
        hashes: (n,) uint32 item hashes.

    Returns:
        (n,) bool; never False for one of the user's last `GENERATION_ITEMS` items.

    >>> contains(np.zeros((2, 64), np.uint8), np.array([1, 2], np.uint32)).tolist()
    [False, False]
    """
    bits = probes(hashes, seen.shape[1] * 8)
    present = (seen[:, bits >> 3] >> (bits & 7).astype(np.uint8)) & 1  # (2, n, PROBES)
    return np.asarray(present.all(axis=2).any(axis=0))
