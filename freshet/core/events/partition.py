"""The one partition function: murmur2, as Java and aiokafka compute it.

librdkafka's default is CRC32, so every producer of ours passes the partition explicitly, and
serving uses the same function to find a user's key. The 32-bit hash of an item id also names the
item inside packed records, so that its partition follows from what a record holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SEED = 0x9747B28C
_M = 0x5BD1E995


def murmur2(key: bytes) -> int:
    """Return the 32-bit murmur2 hash of `key` (Appleby 2008, as in Kafka's `Utils.murmur2`).

    >>> murmur2(b"21") - 2**32  # Java's integers carry a sign
    -973932308
    """
    return int(murmur2_many([key])[0])


def murmur2_many(keys: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return the hashes of many keys at once.

    Args:
        keys: (n,) byte strings.

    Returns:
        (n,) uint32.
    """
    n = len(keys)
    if not n:
        return np.empty(0, np.uint32)
    lengths = np.fromiter(map(len, keys), np.uint32, n)
    width = (int(lengths.max()) + 4) // 4 * 4  # room for a whole word behind the tail
    padded = b"".join([key.ljust(width, b"\0") for key in keys])
    words = np.frombuffer(padded, "<u4").reshape(n, width // 4)
    m = np.uint32(_M)
    h = np.uint32(_SEED) ^ lengths
    n_words = lengths >> np.uint32(2)
    for column in range(int(n_words.max())):
        k = words[:, column] * m
        k ^= k >> np.uint32(24)
        mixed = (h * m) ^ (k * m)
        h = np.where(column < n_words, mixed, h)
    # The padding is zero, so the word behind the last whole one is just the tail's 0 to 3 bytes.
    tail = words[np.arange(n), n_words]
    h = np.where(lengths & np.uint32(3), (h ^ tail) * m, h)
    h ^= h >> np.uint32(13)
    h *= m
    h ^= h >> np.uint32(15)
    return h.astype(np.uint32)


def partition_of_hash(hashes: NDArray[np.uint32], partitions: int) -> NDArray[np.int64]:
    """Return the partitions of hashes, (n,) int64 in [0, partitions)."""
    return (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a user or item id.

    >>> partition_of("alice", 8), partition_of("bob", 8)
    (5, 6)
    """
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def item_hashes(item_ids: Sequence[str]) -> NDArray[np.uint32]:
    """Return the (n,) uint32 hashes that name these items inside packed records."""
    return murmur2_many([item_id.encode() for item_id in item_ids])
