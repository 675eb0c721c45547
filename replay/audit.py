"""Law 1 audited: what was sent of each person (or item) and type, and what the state counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import EVENT_TYPES, TYPE_CODES, Event, effective_type
from freshet.core.settings import Settings
from freshet.core.state.records import Records

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Audit:
    """Sums over all people and types of the differences.

    Attributes:
        lost: events sent and not counted.
        doubled: events counted more often than sent.
        wrong: how many people have a difference.
        worst: people with the largest differences, at most five.
    """

    produced: int
    applied: int
    lost: int
    doubled: int
    wrong: int
    worst: list[str]


@dataclass(slots=True)
class Ledger:
    """Counts what is sent.

    Attributes:
        of: whose counts are kept: the person's, unless told to take the item's.
        low_rating: the setting of the installation.
    """

    of: Callable[[Event], str] = attrgetter("user_id")
    low_rating: float = Settings().low_rating
    sent: dict[str, Counts] = field(
        default_factory=lambda: defaultdict(lambda: np.zeros(len(EVENT_TYPES), np.int64))
    )

    def note(self, events: Iterable[Event]) -> None:
        """Count events that are sent, each once however often it is sent."""
        for event in events:
            kind = effective_type(TYPE_CODES[event.type], event.value, self.low_rating)
            self.add(self.of(event), kind)

    def add(self, name: str, kind: int) -> None:
        """Count one event of a person (or item), of the type that it counts as."""
        self.sent[name][kind] += 1

    def audit(self, names: Sequence[str], records: Records) -> Audit:
        """Compare with the state.

        Args:
            names: (n,) all people (or items) whom the state knows.
            records: (n,) of `USER_DTYPE` (or `ITEM_DTYPE`), their records.
        """
        nothing = np.zeros(len(EVENT_TYPES), np.int64)
        counts = records["type_counts"].astype(np.int64)
        counted = dict(zip(names, counts, strict=True))
        missing = {
            name: self.sent.get(name, nothing) - counted.get(name, nothing)
            for name in {*self.sent, *counted}
        }
        worst = sorted(missing, key=lambda name: (-int(abs(missing[name]).sum()), name))[:5]
        return Audit(
            produced=int(sum(sent.sum() for sent in self.sent.values())),
            applied=int(counts.sum()),
            lost=int(sum(np.maximum(each, 0).sum() for each in missing.values())),
            doubled=int(sum(np.maximum(-each, 0).sum() for each in missing.values())),
            wrong=sum(bool(each.any()) for each in missing.values()),
            worst=[name for name in worst if missing[name].any()],
        )
