"""Somebody who keeps asking for lists while a plug is pulled."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

PAUSE_S = 0.05
UNCOUNTED = {"impressions": "client"}  # else the server reports what it showed, as events


@dataclass
class Visits:
    """What the visitor was answered.

    Attributes:
        codes: how often each status came; 0 stands for no answer at all.
        seconds: of each answer.
        empty: answers without any item.
    """

    codes: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    empty: int = 0

    @property
    def slowest_ms(self) -> float:
        """Of all answers."""
        return 1000 * max(self.seconds)

    def check(self) -> None:
        """Every request was answered with a list."""
        assert set(self.codes) == {200}, self.codes
        assert not self.empty


@contextmanager
def visiting(url: str, user: str) -> Iterator[Visits]:
    """Ask for a user's list again and again in the meantime."""
    visits, left = Visits(), threading.Event()

    def visit() -> None:
        with httpx.Client(base_url=url, timeout=5.0) as client:
            while not left.wait(PAUSE_S):
                started = time.perf_counter()
                try:
                    answer = client.get(
                        "/v1/recommendations", params={"user": user, "k": 5} | UNCOUNTED
                    )
                except httpx.HTTPError:
                    visits.codes[0] += 1
                    continue
                visits.codes[answer.status_code] += 1
                visits.seconds.append(time.perf_counter() - started)
                visits.empty += answer.status_code == 200 and not answer.json()["items"]

    thread = threading.Thread(target=visit, name="visitor")
    thread.start()
    try:
        yield visits
    finally:
        left.set()
        thread.join()
