"""Law 1 audited: what was sent of each person and type, against what the state has counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import EVENT_TYPES, TYPE_CODES, Event
from freshet.core.state.records import Records

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Audit:
    """Sums over all people and types of the differences.

    Attributes:
        lost: events sent and not counted.
        doubled: events counted more often than sent.
        worst: people with the largest differences, at most five.
    """

    produced: int
    applied: int
    lost: int
    doubled: int
    worst: list[str]


@dataclass(slots=True)
class Ledger:
    """Counts what is sent."""

    sent: dict[str, Counts] = field(
        default_factory=lambda: defaultdict(lambda: np.zeros(len(EVENT_TYPES), np.int64))
    )

    def note(self, events: Iterable[Event]) -> None:
        """Count events that are sent, each once however often it is sent."""
        for event in events:
            self.sent[event.user_id][TYPE_CODES[event.type]] += 1

    def audit(self, user_ids: Sequence[str], users: Records) -> Audit:
        """Compare with the state.

        Args:
            user_ids: (n,) all people whom the state knows.
            users: (n,) of `USER_DTYPE`, their records.
        """
        nothing = np.zeros(len(EVENT_TYPES), np.int64)
        counts = users["type_counts"].astype(np.int64)
        counted = dict(zip(user_ids, counts, strict=True))
        missing = {
            user: self.sent.get(user, nothing) - counted.get(user, nothing)
            for user in {*self.sent, *counted}
        }
        worst = sorted(missing, key=lambda user: (-int(abs(missing[user]).sum()), user))[:5]
        return Audit(
            produced=int(sum(sent.sum() for sent in self.sent.values())),
            applied=int(counts.sum()),
            lost=int(sum(np.maximum(each, 0).sum() for each in missing.values())),
            doubled=int(sum(np.maximum(-each, 0).sum() for each in missing.values())),
            worst=[user for user in worst if missing[user].any()],
        )
