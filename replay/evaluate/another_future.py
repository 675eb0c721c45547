"""The same past with another future: whoever then answers otherwise knew what was to come.

Law: who is asked, and when, is the same in both worlds. A request stands at the very edge between
past and future, so that looking one event ahead is enough to be caught.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from freshet.core.events.schema import IMPRESSION, INTERACTION, Event
from freshet.core.settings import Settings
from freshet.core.state.records import HISTORY_LENGTH
from online_models.artifacts.bundle import Bundle
from online_models.training.histories import Histories, thinned
from online_models.training.log import TrainingLog
from online_models.training.slates import Slates
from replay.evaluate.check import Check
from replay.evaluate.click_baselines import click_baselines
from replay.evaluate.request import LIST_LENGTH, PRODUCT, Contestant, Request, Rows
from replay.lived import Asked, LivedLog

FEATURES: Final = f"features of the {PRODUCT}"
CLICKS: Final = f"clicks foreseen by the {PRODUCT}"
USERS: Final = 30  # asked at a moment
SHOWN: Final = 10  # items of the slate that all of them are to have been shown

Contestants = Callable[[TrainingLog], Sequence[Contestant]]
"""Returns who is judged beside the product; none of them has learned anything."""

Train = Callable[[TrainingLog, int], Bundle]
"""Returns models trained on the events before an event; equal events give equal models."""


def redrawn_future(
    log: TrainingLog, events: Sequence[Event], at: int, rng: np.random.Generator
) -> tuple[TrainingLog, list[Event]]:
    """Return a log with the same past before an event and another future from it on.

    The future is drawn anew from itself, who acts apart from what is done; times stay where they
    are. It is drawn with replacement, for in a mere permutation the whole log would still hold
    every item as often, and a count over it would go unnoticed. Items that do not exist yet also
    change places among one another.
    """
    who, what = (np.r_[:at, rng.integers(at, len(log), len(log) - at)] for _ in range(2))
    later = np.flatnonzero(log.exists_from() > at)
    place = np.arange(len(log.items))  # (n_items,) where each item goes
    place[later] = rng.permutation(later)
    taken = np.argsort(place)  # (n_items,) which item comes there
    others = [
        msgspec.structs.replace(events[does], user_id=events[user].user_id, ts_ms=ts_ms)
        for does, user, ts_ms in zip(
            what[at:].tolist(), who[at:].tolist(), log.ts_ms[at:].tolist(), strict=True
        )
    ]
    return (
        replace(
            log,
            items=[log.items[row] for row in taken.tolist()],
            hashes=log.hashes[taken],
            created_ts_ms=log.created_ts_ms[taken],
            user=log.user[who],
            item=place[log.item[what]],
            kind=log.kind[what],
            dwell_s=log.dwell_s[what],
            draw=log.draw[what],
        ),
        [*events[:at], *others],
    )


class Witness:
    """All who are judged, on one log, asked at single moments.

    Args:
        log: the log as arrays.
        events: its events, in the same order.
        settings: of the product.
        others: who else is judged.
        train: trains what the product serves with.

    Attributes:
        log: the log.
        lived: the product.
    """

    def __init__(
        self,
        log: TrainingLog,
        events: Sequence[Event],
        settings: Settings,
        others: Contestants,
        train: Train | None = None,
    ) -> None:
        self.log = log
        self.lived = LivedLog(log, events, settings)
        self._others = others(log)
        self._of_clicks = click_baselines(log, Slates(log, Histories(log)))
        self._train = train

    def answers(self, at: int, users: Sequence[int]) -> dict[str, list[tuple[object, ...]]]:
        """Return what everyone answers to users when the event `at` is the first unknown one.

        Returns:
            By contestant, the item ids for each user; for the product also the candidates and
            their features to the bit, since these are what its ranker learns from. Where the log
            holds impressions, also what everyone says of the same slate.
        """
        self.lived.live(at)
        if self._train is not None:
            self.lived.use(self._train(self.log, at))
        answers: dict[str, list[tuple[object, ...]]] = {PRODUCT: [], FEATURES: []}
        for user in users:
            asked = self.lived.ask(int(np.argmax(self.log.user == user)), LIST_LENGTH)
            answers[PRODUCT].append(self._listed(asked))
            answers[FEATURES].append(self._seen(asked))
        if (self.log.kind[:at] == IMPRESSION).any():
            answers |= self._clicks_foreseen(at, users)
        requests = [request_at(self.log, at, user) for user in users]
        for contestant in self._others:
            contestant.learn(at)
            lists = [contestant.recommend(request) for request in requests]
            answers[contestant.name] = [self._ids(rows) for rows in lists]
        return answers

    def _clicks_foreseen(
        self, at: int, users: Sequence[int]
    ) -> dict[str, list[tuple[object, ...]]]:
        """Return what everyone says of one slate of items that exist, for each user."""
        existing = np.flatnonzero(self.log.exists_from() <= at)
        slate = thinned(existing[np.argsort(self.log.hashes[existing], kind="stable")], SHOWN)
        events = [int(np.argmax(self.log.user == user)) for user in users]
        ranked = [self.lived.rank(event, slate).scores.tobytes() for event in events]
        foreseen: dict[str, list[tuple[object, ...]]] = {CLICKS: [(each,) for each in ranked]}
        for contestant in self._of_clicks:
            contestant.learn(at)
            foreseen[contestant.name] = [(contestant.scores(slate).tobytes(),)] * len(users)
        return foreseen

    def _listed(self, asked: Asked | None) -> tuple[object, ...]:
        if asked is None:
            return ()
        return self._ids(self.lived.log_rows(asked.ranked.union.rows[asked.order]))

    def _seen(self, asked: Asked | None) -> tuple[object, ...]:
        if asked is None or asked.ranked.features is None:
            return ()
        rows = self.lived.log_rows(asked.ranked.union.rows)
        return *self._ids(rows), asked.ranked.features.tobytes()

    def _ids(self, rows: Rows) -> tuple[object, ...]:
        return tuple(self.log.items[row].item_id for row in rows.tolist())


def compare_futures(real: Witness, false: Witness, at: int) -> Check:
    """Return whether everyone answers alike at a moment, whatever comes after it.

    Both must have lived alike: who was asked before has other standings. They are closed.

    Args:
        real: those who live the log.
        false: those who live a log with the same past before `at`, and another future.
        at: the first event that nobody may know.
    """
    known = np.isin(real.log.user[at:], false.log.user)
    users = list(dict.fromkeys(real.log.user[at:][known].tolist()))[:USERS]
    theirs = false.answers(at, users)
    differ = {
        name: sum(mine != other for mine, other in zip(lists, theirs[name], strict=True))
        for name, lists in real.answers(at, users).items()
    }
    for witness in (real, false):
        witness.lived.close()
    leaking = [f"{name} in {count}" for name, count in differ.items() if count]
    contestants = len(differ.keys() - {FEATURES, CLICKS})
    asked = f"{len(users)} users were asked at event {at:,}, of {contestants} contestants"
    return Check(
        name="another future",
        passed=not leaking if users else None,
        found=f"{asked}, with the future as it was and drawn anew: "
        + (f"other answers from {', '.join(leaking)}." if leaking else "not one answer differs."),
        figures={"users": len(users), "contestants": contestants, "differ": len(leaking)},
    )


def request_at(log: TrainingLog, at: int, user: int) -> Request:
    """Return the question of a user when the event `at` is the first unknown one."""
    mine = np.flatnonzero((log.user[:at] == user) & INTERACTION[log.kind[:at]])
    newest = mine[::-1][:HISTORY_LENGTH]
    offered = log.exists_from() <= at
    offered[log.item[newest]] = False
    return Request(
        event=at,
        asked_at=at,
        user=user,
        now_ms=int(log.ts_ms[at - 1]),
        items=log.item[newest],
        types=log.kind[newest],
        ages_s=((log.ts_ms[at] - log.ts_ms[newest]) / 1000).astype(np.float32),
        offered=offered,
    )
