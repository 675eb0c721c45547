"""Watches the positions in Redis: when each record became readable.

State and position are written together, so a record is readable from the moment when the position
of its partition has passed it. That makes every record a sample at the price of one small script
per look. A record counts as readable when the *reply* arrives that shows it, so what is measured
is late by at most one look, and never early.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from freshet.core.state.keys import Keys
from streams.item_shell import SOURCE_PREFIX

# KEYS    position HASHes: of the users, then of the items, one per partition
# Reply   for each of the users its `next`, then for each of the items the next of every source
_LOOK = """
local partitions, found = #KEYS / 2, {}
for p = 1, partitions do
  found[#found + 1] = tonumber(redis.call('HGET', KEYS[p], 'next') or 0)
end
local sources = {}
for p = 1, partitions do sources[p] = ARGV[1] .. (p - 1) end
for p = partitions + 1, #KEYS do
  for _, next in ipairs(redis.call('HMGET', KEYS[p], unpack(sources))) do
    found[#found + 1] = tonumber(next or 0)
  end
end
return found
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an observer saw, look by look.

    Attributes:
        at_s: (looks,) when each reply arrived, monotonic.
        users: (looks, partitions) next offset of the user fold.
        items: (looks, partitions, partitions) next offset of each item partition and source.
    """

    at_s: NDArray[np.float64]
    users: NDArray[np.int64]
    items: NDArray[np.int64]

    @property
    def resolution_ms(self) -> float:
        """99 % of the looks followed the one before within so long."""
        return float(np.percentile(np.diff(self.at_s), 99) * 1000)

    def users_readable_s(
        self, partition: NDArray[np.int64], offset: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return when the user side showed each event, (n,), NaN where it never did.

        Args:
            partition: (n,) of the events.
            offset: (n,) of the events.
        """
        readable = np.full(len(offset), np.nan)
        for p in np.unique(partition):
            rows = partition == p
            readable[rows] = self._passed_s(self.users[:, p], offset[rows])
        return readable

    def items_readable_s(
        self,
        partition: NDArray[np.int64],
        source: NDArray[np.int64],
        offset: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return when the item side showed each row of the deltas, (n,), NaN where it never did.

        Args:
            partition: (n,) item partition of the rows.
            source: (n,) partition of the events that made them.
            offset: (n,) of these events.
        """
        readable = np.full(len(offset), np.nan)
        sources = self.items.shape[1]
        pair = partition * sources + source
        for each in np.unique(pair):
            rows = pair == each
            series = self.items[:, each // sources, each % sources]
            readable[rows] = self._passed_s(series, offset[rows])
        return readable

    def _passed_s(
        self, series: NDArray[np.int64], offset: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        look = np.searchsorted(series, offset + 1, side="left")
        return np.asarray(np.r_[self.at_s, np.nan][look])


class Observer:
    """Looks at the positions again and again, in a thread, while the context lasts.

    Args:
        redis_url: of one Redis; a cluster has no look at all partitions at once.
        namespace: of the installation.
        partitions: of each topic.
        every_ms: between two looks.
    """

    def __init__(self, redis_url: str, namespace: str, partitions: int, *, every_ms: float) -> None:
        self._client: Any = redis.Redis.from_url(redis_url)
        keys, numbers = Keys(namespace), range(partitions)
        self._keys = [
            *(keys.user_position(p) for p in numbers),
            *(keys.item_position(p) for p in numbers),
        ]
        self._look_script = self._client.register_script(_LOOK)
        self._partitions = partitions
        self._every_s = every_ms / 1000
        self._at_s: list[float] = []
        self._found: list[list[int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)

    def look(self) -> NDArray[np.int64]:
        """Return the positions now: (p,) of the users, then (p * p,) of the items."""
        return np.array(self._look_script(self._keys, [SOURCE_PREFIX]), np.int64)

    def seen(self) -> Seen:
        """Return what was seen; the context must have ended."""
        found = np.array(self._found, np.int64)
        p = self._partitions
        return Seen(np.array(self._at_s), found[:, :p], found[:, p:].reshape(-1, p, p))

    def _watch(self) -> None:
        due_s = time.monotonic()
        while not self._ended.is_set():
            self._found.append(self._look_script(self._keys, [SOURCE_PREFIX]))
            self._at_s.append(time.monotonic())
            due_s = max(due_s + self._every_s, self._at_s[-1])
            time.sleep(max(due_s - time.monotonic(), 0))

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.close()
