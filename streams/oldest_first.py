"""Names in the order of their times, the oldest at hand."""

from __future__ import annotations

import heapq


class OldestFirst:
    """Names with a time each.

    A name that goes stays in the heap until it comes to the top, which keeps all steps cheap.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._ts_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ts_ms)

    def __contains__(self, name: str) -> bool:
        return name in self._ts_ms

    def get(self, name: str) -> int | None:
        """Return the time of a name, None when it is not in."""
        return self._ts_ms.get(name)

    def add(self, name: str, ts_ms: int) -> None:
        """Add a name, or give it another time."""
        self._ts_ms[name] = ts_ms
        heapq.heappush(self._heap, (ts_ms, name))

    def discard(self, name: str) -> None:
        """Take a name out, if it is in."""
        self._ts_ms.pop(name, None)

    def oldest(self) -> tuple[int, str] | None:
        """Return time and name of the oldest, by name among equals; None when there is none.

        >>> waiting = OldestFirst()
        >>> for name, ts_ms in (("b", 2), ("a", 2), ("c", 1)):
        ...     waiting.add(name, ts_ms)
        >>> waiting.discard("c")
        >>> waiting.oldest()
        (2, 'a')
        """
        while self._heap and self._ts_ms.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None
