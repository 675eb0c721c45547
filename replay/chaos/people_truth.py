"""What the log says of all people, and what they added to items, against the state."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import ENCODED, IMPRESSION, TYPE_CODES, effective_type
from freshet.core.progress import Offsets
from freshet.core.settings import Settings
from freshet.core.state.records import COVISIT_CAPACITY, Records
from replay.chaos.user_truth import UserTruth
from streams.deltas import ADDS_PERSON, ADDS_RATE
from streams.user_fold_rows import HELD_BACK

Followed = Counter[tuple[str, int, int]]

ADDED: Final = ("weight", "people", "rate")
"""What people add to an item: to its trend, to those who acted on it, to impressions and clicks."""


class PeopleTruth:
    """All people of a log, partition by partition.

    Args:
        settings: of the installation.
        partitions: of the events.

    Attributes:
        users: by their ids.
        added: sums of `ADDED` by item.
        followed: transitions by the item that they lead away from: next item, time in s, distance.
        held_back: (partitions,) of each total of `HELD_BACK`.
    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.users: dict[str, UserTruth] = {}
        self.added: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.followed: defaultdict[str, Followed] = defaultdict(Counter)
        self.held_back: dict[str, Offsets] = {
            name: np.zeros(partitions, np.int64) for name in HELD_BACK
        }
        self._settings = settings
        self._newest_s = [0] * partitions

    def forget(self, user_id: str) -> None:
        """Forget a user who was erased; what they added to items stays."""
        self.users.pop(user_id, None)

    def take(self, event: Mapping[str, Any], partition: int) -> int:
        """Take the next event of a partition that is no copy, as JSON has it.

        Returns:
            The code of the type that it counts as.
        """
        settings = self._settings
        code = TYPE_CODES[event["type"]]
        kind = effective_type(code, event.get("value"), settings.low_rating)
        ts_s = event["ts_ms"] // 1000
        user = self.users.setdefault(
            event["user_id"],
            UserTruth(
                settings.contribution_window_s, settings.covisit_distance, settings.unwanted_ttl_s
            ),
        )
        added = user.take(kind, event["item_id"], ts_s, self._newest_s[partition])
        self._newest_s[partition] = max(self._newest_s[partition], ts_s)
        sums = self.added[event["item_id"]]
        sums["weight"] += added.weight
        sums["people"] += bool(added.adds & ADDS_PERSON)
        sums["rate"] += bool(added.adds & ADDS_RATE)
        if not (added.weight or added.adds):
            what = "held_impressions" if kind == IMPRESSION else "held_interactions"
            self.held_back[what][partition] += kind == IMPRESSION or bool(ENCODED[kind])
        self.held_back["held_transitions"][partition] += added.held_pairs
        for previous, following, distance in added.pairs:
            self.followed[previous][following, ts_s, distance] += 1
        return kind


def wrong_unwanted(found: Mapping[str, Records], users: Mapping[str, UserTruth]) -> int:
    """Return of how many people something else is unwanted than the log says.

    Args:
        found: what the state holds, (n,) of `UNWANTED_DTYPE` of each.
        users: what the log says.
    """
    expected = {}
    for user_id, user in users.items():
        hashes = np.asarray(item_hashes(list(user.unwanted))).tolist()
        rows = zip(hashes, user.unwanted.values(), strict=True)
        expected[user_id] = {(item, ts_s, kind) for item, (ts_s, kind) in rows}
    return sum(
        {tuple(row) for row in found[name].tolist()} != expected.get(name, set())
        if name in found
        else bool(expected[name])
        for name in {*found, *expected}
    )


def wrong_additions(
    names: Sequence[str], records: Records, added: Mapping[str, Counter[str]]
) -> int:
    """Return to how many items people added more or less than the log says.

    Of a log that is shorter than the longest ring of trends: nothing has left it.

    Args:
        names: (n,) items that the state knows.
        records: (n,) of `ITEM_DTYPE`.
        added: sums of `ADDED` by item.
    """
    found = np.column_stack(
        [
            records["trend"][:, -1].sum(axis=1),
            records["people"],
            records["impressions"].sum(axis=1) + records["clicks"].sum(axis=1),
        ]
    ).astype(np.int64)
    counted = dict(zip(names, found.tolist(), strict=True))
    nothing = [0] * len(ADDED)
    return sum(
        counted.get(name, nothing) != [added[name][what] for what in ADDED]
        if name in added
        else counted[name] != nothing
        for name in {*counted, *added}
    )


def wrong_transitions(found: Mapping[int, Records], followed: Mapping[str, Followed]) -> list[str]:
    """Return the items whose transitions are others than the log says.

    A full sample holds some of the transitions, and none that the log does not have; see
    `COVISIT_CAPACITY`. Which of them it holds, the fold's twin must say.

    Args:
        found: (n,) of `COVISIT_DTYPE` by the hash of the item.
        followed: see `PeopleTruth`.
    """
    names = list(followed)
    hash_of = dict(zip(names, np.asarray(item_hashes(names)).tolist(), strict=True))
    wrong = [str(item) for item in found.keys() - set(hash_of.values()) if len(found[item])]
    for name, rows in followed.items():
        nexts = [following for following, _, _ in rows]
        hashes = np.asarray(item_hashes(nexts)).tolist()
        expected: Counter[tuple[int, int, int]] = Counter()
        for item, ((_, ts_s, distance), count) in zip(hashes, rows.items(), strict=True):
            expected[item, ts_s, distance] += count
        sample = found.get(hash_of[name])
        fields = ("next", "ts_s", "distance")
        here = Counter([] if sample is None else sample[list(fields)].tolist())
        wanted = min(expected.total(), COVISIT_CAPACITY)
        if here.total() != wanted or here - expected:
            wrong.append(name)
    return sorted(wrong)
