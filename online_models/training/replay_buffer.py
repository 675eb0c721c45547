"""The replay buffer: what was learned before, so that it is not forgotten for what is new.

Half of each mini-batch is drawn from it, which recovers most of what naive incremental training
loses against training on everything (Mi, Lin and Faltings 2020, "ADER", table 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from online_models.training.examined import Examined, Rows

STRATUM_MS: Final = 86_400_000
MOST_STRATA: Final = 14

Arrays = dict[str, NDArray[Any]]


class ReplayBuffer:
    """A bounded sample of the past: a reservoir for each day (Vitter 1985, algorithm R).

    Every day has the same room, whatever came of it, and days beyond the bound go, oldest first:
    so that yesterday's flood does not wash out the week before.

    Args:
        capacity: answers that it holds.
        stratum_ms: length of a stratum of time.
        most_strata: strata that are kept.
    """

    def __init__(
        self, capacity: int, *, stratum_ms: int = STRATUM_MS, most_strata: int = MOST_STRATA
    ) -> None:
        self._capacity = capacity
        self._stratum_ms = stratum_ms
        self._most_strata = most_strata
        self._kept: dict[int, list[Examined]] = {}
        self._seen: dict[int, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def add(self, answer: Examined, rng: np.random.Generator) -> None:
        """Offer an answer; each of its day is kept with the same probability."""
        stratum = answer.ts_ms // self._stratum_ms
        if stratum not in self._kept and not self._open(stratum, rng):
            return
        kept, room = self._kept[stratum], self._room
        self._seen[stratum] += 1
        if len(kept) < room:
            kept.append(answer)
        elif (place := int(rng.integers(self._seen[stratum]))) < room:
            kept[place] = answer

    def draw(self, n: int, rng: np.random.Generator) -> list[Examined]:
        """Return n answers, each day as likely as any other; none when it is empty."""
        strata = [each for each in sorted(self._kept) if self._kept[each]]
        if not strata:
            return []
        days = rng.integers(len(strata), size=n)
        places = rng.random(n)
        kept = [self._kept[strata[day]] for day in days.tolist()]
        return [some[int(place * len(some))] for some, place in zip(kept, places, strict=True)]

    @property
    def _room(self) -> int:
        return max(self._capacity // max(len(self._kept), 1), 1)

    def _open(self, stratum: int, rng: np.random.Generator) -> bool:
        """Make room for a day; return whether it is among the newest."""
        if len(self._kept) >= self._most_strata:
            oldest = min(self._kept)
            if stratum < oldest:
                return False
            del self._kept[oldest], self._seen[oldest]
        self._kept[stratum], self._seen[stratum] = [], 0
        for day, kept in sorted(self._kept.items()):
            if len(kept) > self._room:
                chosen = np.sort(rng.choice(len(kept), self._room, replace=False))
                self._kept[day] = [kept[place] for place in chosen.tolist()]
        return True

    # --- keeping it ---

    def state(self) -> Arrays:
        """Return all that it holds, for `restored`."""
        strata = sorted(self._kept)
        answers = [answer for day in strata for answer in self._kept[day]]
        return packed(answers) | {
            "strata": np.array(strata, np.int64),
            "sizes": np.array([len(self._kept[day]) for day in strata], np.int64),
            "seen": np.array([self._seen[day] for day in strata], np.int64),
        }

    def restore(self, state: Arrays) -> None:
        """Take the place of the buffer that gave this state."""
        answers = iter(unpacked(state))
        columns = (state[name].tolist() for name in ("strata", "sizes", "seen"))
        for day, size, seen in zip(*columns, strict=True):
            self._kept[day] = [next(answers) for _ in range(size)]
            self._seen[day] = seen


def packed(answers: Sequence[Examined]) -> Arrays:
    """Return answers as a few arrays."""
    rows = Rows.of(answers)
    return {
        "features": rows.features.astype(np.float16),
        "positions": rows.positions.astype(np.int16),
        "labels": rows.labels,
        "lengths": np.array([len(answer) for answer in answers], np.int64),
        "ts_ms": np.array([answer.ts_ms for answer in answers], np.int64),
    }


def unpacked(arrays: Arrays) -> list[Examined]:
    """Return the answers in what `packed` made."""
    ends = np.cumsum(arrays["lengths"])
    starts = ends - arrays["lengths"]
    return [
        Examined(
            ts_ms,
            arrays["features"][start:end],
            arrays["positions"][start:end].astype(np.int64),
            arrays["labels"][start:end],
        )
        for ts_ms, start, end in zip(
            arrays["ts_ms"].tolist(), starts.tolist(), ends.tolist(), strict=True
        )
    ]
