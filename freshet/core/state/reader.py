"""Reads the state back: one user, all items, positions, and the hash of the whole.

For commands, audits and tests; serving follows the changes instead. To read all users takes a while
on a large installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xxhash

from freshet.core.events.control import user_hash
from freshet.core.events.examples import OUTCOME_DTYPE
from freshet.core.events.partition import partition_of
from freshet.core.state.client import Client
from freshet.core.state.keys import Keys
from freshet.core.state.records import COVISIT_DTYPE, Records, unpack_items, unpack_users
from freshet.core.state.unwanted import unpack_unwanted

SECTIONS = (
    "users", "past", "unwanted", "erased", "event_ids", "user_positions", "items", "covisits",
    "item_positions", "catalog", "slates", "outcomes", "slate_positions",
)  # fmt: skip
LEFT_OUT = {
    "user_changes": "what followers were told: it is cut, and an entry is a batch",
    "item_changes": "what followers were told: it is cut, and an entry is a batch",
    "outbox": "what Kafka does not have yet; nothing, once everything has been told",
    "catalog_position": "offsets of a compacted log; what it has come to is the catalogue",
    "meta": "what the state is laid out for; each worker compares it when it starts",
}
"""Keys that no section is made of, by the names that `Keys` has for them, and why."""

_USER_TOTALS = (
    "applied", "impressions", "duplicates", "rejected", "clamped", "late", "out_of_order",
    "erasures", "erased",
    "watermark_ts_ms", "held_interactions", "held_impressions", "held_transitions",
)  # fmt: skip


class StateReader:
    """Reads the state of one namespace.

    Args:
        client: a client that returns bytes.
        namespace: of the installation.
        partitions: of its topics.
    """

    def __init__(self, client: Client, namespace: str, partitions: int) -> None:
        self._client: Any = client
        self._keys = Keys(namespace)
        self._partitions = partitions

    def user(self, user_id: str) -> np.void | None:
        """Return the record of a user, one of `USER_DTYPE`, or None when there is none."""
        partition = partition_of(user_id, self._partitions)
        blob = self._client.hget(self._keys.users(partition), user_id)
        return None if blob is None else unpack_users([blob])[0]

    def item(self, item_id: str) -> np.void | None:
        """Return the record of an item, one of `ITEM_DTYPE`, or None when there is none."""
        partition = partition_of(item_id, self._partitions)
        blob = self._client.hget(self._keys.items(partition), item_id)
        return None if blob is None else unpack_items([blob])[0]

    def erased(self, user_id: str) -> int | None:
        """Return up to when a person's events stay forgotten, ms; None for who was not erased."""
        partition = partition_of(user_id, self._partitions)
        found = self._client.hget(self._keys.erased(partition), user_hash(user_id))
        return None if found is None else int(found)

    def users(self) -> tuple[list[str], Records]:
        """Return the ids and records of all users."""
        pairs = list(self._user_blobs())
        return [user_id.decode() for user_id, _ in pairs], unpack_users([blob for _, blob in pairs])

    def pages(self) -> dict[str, bytes]:
        """Return the pages of the past of all users by their fields."""
        keys = [self._keys.past(partition) for partition in range(self._partitions)]
        return {name.decode(): page for key in keys for name, page in self._fields(key)}

    def unwanted(self) -> dict[str, Records]:
        """Return what each user rejected, (n,) of `UNWANTED_DTYPE` each, newest first."""
        keys = [self._keys.unwanted(partition) for partition in range(self._partitions)]
        return {
            name.decode(): unpack_unwanted(blob) for key in keys for name, blob in self._fields(key)
        }

    def items(self) -> tuple[list[str], Records]:
        """Return the ids and records of all items that were acted on."""
        pairs = [
            pair for p in range(self._partitions) for pair in self._fields(self._keys.items(p))
        ]
        return [name.decode() for name, _ in pairs], unpack_items([blob for _, blob in pairs])

    def catalogue_ids(self) -> set[str]:
        """Return the ids of the items that the catalogue offers."""
        keys = [self._keys.catalog(partition) for partition in range(self._partitions)]
        return {name.decode() for key in keys for name, _ in self._fields(key)}

    def user_positions(self) -> list[dict[str, int]]:
        """Return the position of each partition of the events."""
        return [self._position(self._keys.user_position(p)) for p in range(self._partitions)]

    def item_positions(self) -> list[dict[str, int]]:
        """Return the position of each partition of the item deltas."""
        return [self._position(self._keys.item_position(p)) for p in range(self._partitions)]

    def catalog_positions(self) -> list[dict[str, int]]:
        """Return the position of each partition of the catalogue."""
        return [self._position(self._keys.catalog_position(p)) for p in range(self._partitions)]

    def slate_positions(self) -> list[dict[str, int]]:
        """Return the position of each partition of the answers."""
        return [self._position(self._keys.slate_position(p)) for p in range(self._partitions)]

    def digest(self) -> dict[str, str]:
        """Return a hash of each section of the state.

        Left out is what depends on when and in what batches the log was folded: the keys of
        `LEFT_OUT`, lifetimes, the offsets of item deltas and of `slates`, how many of them came
        twice, and with them how many examples were made. And offsets of events, in positions and
        in outcomes, because heartbeats move them; the totals tell how far a fold has come.

        Where servers answer too, their answers and the outcomes meet in `slates` in an order of
        their own: there what waits is the same for who reads the same `slates` again.
        """
        return {section: _digest(entries) for section, entries in self.entries().items()}

    def entries(self) -> dict[str, Iterator[tuple[bytes, bytes]]]:
        """Return names and values of each section, as `digest` compares them.

        Of a section by partitions, the name begins with the partition.
        """
        numbers = range(self._partitions)
        keys = self._keys
        return {
            "users": self._user_blobs(),
            "past": (pair for p in numbers for pair in self._fields(keys.past(p))),
            "unwanted": (pair for p in numbers for pair in self._fields(keys.unwanted(p))),
            "erased": (pair for p in numbers for pair in self._fields(keys.erased(p))),
            "event_ids": (pair for p in numbers for pair in self._fields(keys.event_ids(p))),
            "user_positions": (
                (f"{p}:{name}".encode(), str(position.get(name, 0)).encode())
                for p, position in enumerate(self.user_positions())
                for name in _USER_TOTALS
            ),
            "items": (pair for p in numbers for pair in self._fields(keys.items(p))),
            "covisits": (
                (name, np.sort(np.frombuffer(blob, COVISIT_DTYPE)).tobytes())
                for p in numbers
                for name, blob in self._fields(keys.covisits(p))
            ),
            "item_positions": (
                (f"{p}:{name}".encode(), str(value).encode())
                for p, position in enumerate(self.item_positions())
                for name, value in position.items()
                if name == "applied" or name.startswith("source:")
            ),
            "catalog": (pair for p in numbers for pair in self._fields(keys.catalog(p))),
            "slates": (pair for p in numbers for pair in self._fields(keys.slates(p))),
            "outcomes": (
                (name, _without_offsets(blob))
                for p in numbers
                for name, blob in self._fields(keys.outcomes(p))
            ),
            "slate_positions": (
                (f"{p}".encode(), str(position.get("watermark_ts_ms", 0)).encode())
                for p, position in enumerate(self.slate_positions())
            ),
        }

    def _position(self, key: str) -> dict[str, int]:
        return {name.decode(): int(value) for name, value in self._client.hgetall(key).items()}

    def _fields(self, key: str) -> Iterator[tuple[bytes, bytes]]:
        yield from self._client.hscan_iter(key, count=1000)

    def _user_blobs(self) -> Iterator[tuple[bytes, bytes]]:
        for partition in range(self._partitions):
            yield from self._fields(self._keys.users(partition))


def state_digest(client: Client, namespace: str, partitions: int) -> dict[str, str]:
    """Return the hash of each section of the state; see `StateReader.digest`."""
    return StateReader(client, namespace, partitions).digest()


def state_hash(client: Client, namespace: str, partitions: int) -> str:
    """Return one hash of the whole state, 32 hex digits."""
    digest = state_digest(client, namespace, partitions)
    return xxhash.xxh3_128_hexdigest(" ".join(digest[name] for name in SECTIONS).encode())


def _without_offsets(outcomes: bytes) -> bytes:
    rows = np.frombuffer(outcomes, OUTCOME_DTYPE).copy()
    rows["offset"] = 0
    return rows.tobytes()


def _digest(entries: Iterator[tuple[bytes, bytes]]) -> str:
    """Return a hash of entries that does not depend on their order, 32 hex digits."""
    total = 0
    for name, value in entries:
        framed = len(name).to_bytes(4, "little") + name + value
        total += xxhash.xxh3_128_intdigest(framed)
    return f"{total % 2**128:032x}"
