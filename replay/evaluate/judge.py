"""The run: live the log, ask everyone, note the answers, let everyone learn.

What is judged is the last part of the log. Before it the product collects exposures for its first
ranker; in it, its models are trained anew at even distances, on what had happened by then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import INTERACTION, Event
from freshet.core.settings import Settings
from online_models.artifacts.bundle import Bundle
from online_models.features import SOURCES
from online_models.maths.topk import top_k
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog
from online_models.training.shown import Shown
from online_models.training.slates import Slate, Slates
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.seen_hidden import SeenHidden
from replay.evaluate.click_baselines import click_baselines
from replay.evaluate.impressions import ImpressionJudge
from replay.evaluate.item_counts import ItemCounts
from replay.evaluate.outcome import Outcome
from replay.evaluate.rejections import (
    FeedbackSlate,
    RejectionRequest,
    Rejections,
    feedback_slates,
    rejection_requests,
)
from replay.evaluate.request import LIST_LENGTH, PRODUCT, Contestant, Request, Rows
from replay.exposing import exposure_of, shown_of
from replay.lived import Asked, LivedLog

RANKER: Final = "ranker"
FUSION: Final = "source fusion"

Asking = int | Slate | RejectionRequest | FeedbackSlate
"""An event to be foreseen, a slate to be ranked, or a rejection to be asked before."""

Report = Callable[[float], None]
"""Told the share that is done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked when.

    Attributes:
        requests: most requests whose answers count, evenly over the time from `judge_from`.
        exposures: most requests that the product's ranker learns from, whether they count or not,
            evenly over the time from `expose_from` to its last training.
        expose_from: share of the log from which the product collects exposures.
        judge_from: share of the log from which answers count.
        trainings: times that the models are trained after the first, while answers count.
        slates: most slates of impressions whose answers count, evenly over the time from
            `judge_from`.
        rejections: most rejections before which lists are asked for, evenly over the time from
            `judge_from`; and most comparisons of what users then accept and reject.
        shown: most slates that the product's ranker learns from, whether they count or not, evenly
            over the time from `expose_from` to its last training.
    """

    requests: int = 8_000
    exposures: int = 18_000
    expose_from: float = 0.2
    judge_from: float = 0.4
    trainings: int = 2
    slates: int = 4_000
    rejections: int = 1_000
    shown: int = 8_000


class Trainer(Protocol):
    """Trains the product's models while the log is lived."""

    def see(self, exposure: Exposure) -> None:
        """Keep an exposure to learn from."""
        ...

    def see_shown(self, shown: Shown) -> None:
        """Keep a slate to learn from."""
        ...

    def train_encoder(self, end: int) -> None:
        """Train the encoder on the events before `end`."""
        ...

    def train_ranker(self, end: int) -> None:
        """Train the ranker on what was exposed, and what came of it, before `end`."""
        ...

    def bundle(self, end: int) -> Bundle:
        """Return the models as they are, over the items that exist at an event."""
        ...


@dataclass(slots=True)
class _Notes:
    """The answers so far."""

    events: list[int] = field(default_factory=list)
    history_lengths: list[int] = field(default_factory=list)
    target_counts: list[int] = field(default_factory=list)
    exposed: list[int] = field(default_factory=list)  # events whose items a source had found
    ranker_exposures: int = 0
    found: int = 0
    training_s: float = 0.0
    ranked: int = 0
    rejected: list[int] = field(default_factory=list)  # the rejections that lists came before
    before_rejections: defaultdict[str, list[Rows]] = field(
        default_factory=lambda: defaultdict(list)
    )
    lists: defaultdict[str, list[Rows]] = field(default_factory=lambda: defaultdict(list))
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))


class Judge:
    """Judges the product and others on one log.

    Args:
        name: of the log.
        log: the log as arrays.
        events: its events, in the same order.
        settings: of the product.
        trainer: trains the product's models; without one it serves without models.
        others: who answers the same requests.
        plan: what is asked when.
        parts: who answers them too and is of the product, so that it is no baseline.
    """

    def __init__(
        self,
        name: str,
        log: TrainingLog,
        events: Sequence[Event],
        settings: Settings,
        trainer: Trainer | None,
        others: Sequence[Contestant],
        plan: Plan,
        parts: Sequence[Contestant] = (),
    ) -> None:
        self._name, self._log, self._plan = name, log, plan
        self._trainer = trainer
        self._baselines = [contestant.name for contestant in others]
        self._others = [*others, *parts]
        self._lived = LivedLog(log, events, settings)
        self._histories = Histories(log)
        self._interactions = ItemCounts(log, np.flatnonzero(INTERACTION[log.kind]))
        self._slates = Slates(log, self._histories)
        of_items = click_baselines(log, self._slates)
        self._impressions = ImpressionJudge(self._lived, of_items)
        self._feedback = ImpressionJudge(self._lived, of_items, by_clicks=False)
        self._notes = _Notes()

    def run(self, report: Report = lambda _share: None) -> Outcome:
        """Live the log to its end and return what everyone foresaw."""
        log, plan = self._log, self._plan
        judged_from = log.cut(plan.judge_from)
        ask_between = self._histories.requests
        trainings = training_events(log, plan)
        judged = ask_between(judged_from, len(log), plan.requests)
        counting = set(judged.tolist())
        learned = judged[:0]
        slates = self._slates.between(judged_from, len(log), plan.slates)
        slates_counting = {slate.event for slate in slates}
        if self._trainer is not None:
            learned = ask_between(trainings[0], trainings[-1], plan.exposures)
            shown = self._slates.between(trainings[0], trainings[-1], plan.shown)
            slates += [slate for slate in shown if slate.event not in slates_counting]
        asked_for = log, self._histories, judged_from, len(log), plan.rejections
        rejected: list[RejectionRequest | FeedbackSlate] = [
            *rejection_requests(*asked_for),
            *feedback_slates(*asked_for),
        ]
        timeline = self._timeline(np.union1d(judged, learned), slates, rejected)
        for number, (asked_at, asked) in enumerate(timeline):
            while trainings and asked_at >= trainings[0]:
                self._train(trainings.pop(0))
            if isinstance(asked, RejectionRequest):
                self._list_before_rejection(asked.event, asked_at)
            elif isinstance(asked, FeedbackSlate):
                self._feedback.ask(asked.slate)
            elif isinstance(asked, Slate):
                self._show(asked, judged=asked.event in slates_counting)
            else:
                self._ask(asked, asked_at, judged=asked in counting)
            report((number + 1) / len(timeline))
        self._lived.live(len(log))
        self._lived.close()
        return self._outcome()

    def _timeline(
        self,
        requests: Rows,
        slates: Sequence[Slate],
        rejected: Sequence[RejectionRequest | FeedbackSlate],
    ) -> list[tuple[int, Asking]]:
        """Return what is asked when: events to be foreseen, slates to be ranked, rejections."""
        asked_at = self._histories.asked_at
        timeline: list[tuple[int, Asking]] = list(
            zip(asked_at[requests].tolist(), requests.tolist(), strict=True)
        )
        timeline += [(slate.asked_at, slate) for slate in slates]
        timeline += [(each.asked_at, each) for each in rejected]
        return sorted(timeline, key=lambda each: each[0])

    def _train(self, end: int) -> None:
        if self._trainer is None:
            return
        started_s = perf_counter()
        self._lived.live(end)
        self._trainer.train_encoder(end)
        if self._lived.now >= self._log.cut(self._plan.judge_from):
            self._trainer.train_ranker(end)
            self._notes.ranker_exposures = sum(event < end for event in self._notes.exposed)
        self._lived.use(self._trainer.bundle(end))
        self._notes.training_s += perf_counter() - started_s

    def _ask(self, event: int, asked_at: int, *, judged: bool) -> None:
        lived, notes = self._lived, self._notes
        started_s = perf_counter()
        lived.live(asked_at)
        asked = lived.ask(event, LIST_LENGTH)
        exposure = exposure_of(lived, event, asked)
        if exposure.target >= 0:
            notes.exposed.append(event)
        if judged:
            for name, rows in self._product_lists(asked).items():
                notes.lists[name].append(rows)
            notes.seconds[PRODUCT] += perf_counter() - started_s
            notes.found += exposure.target >= 0
            notes.ranked += asked is not None and asked.ranked.by_ranker
            self._ask_others(event, asked_at)
        if self._trainer is not None:
            self._trainer.see(exposure)

    def _show(self, slate: Slate, *, judged: bool) -> None:
        if judged:
            ranked = self._impressions.ask(slate)
        else:
            self._lived.live(slate.asked_at)
            ranked = self._lived.rank(slate.event, slate.items)
        if self._trainer is not None:
            self._trainer.see_shown(shown_of(slate, ranked))

    def _ask_others(self, event: int, asked_at: int) -> None:
        request, notes = self._request(event, asked_at), self._notes
        self._interactions.learn(asked_at)
        for contestant in self._others:
            started_s = perf_counter()
            contestant.learn(asked_at)
            notes.lists[contestant.name].append(contestant.recommend(request)[:LIST_LENGTH])
            notes.seconds[contestant.name] += perf_counter() - started_s
        notes.events.append(event)
        notes.history_lengths.append(len(request.items))
        notes.target_counts.append(int(self._interactions.of_item[self._log.item[event]]))

    def _list_before_rejection(self, event: int, asked_at: int) -> None:
        lived, lists = self._lived, self._notes.before_rejections
        lived.live(asked_at)
        lists[PRODUCT].append(self._product_lists(lived.ask(event, LIST_LENGTH))[PRODUCT])
        request = self._request(event, asked_at)
        for contestant in self._others:
            contestant.learn(asked_at)
            lists[contestant.name].append(contestant.recommend(request)[:LIST_LENGTH])
        self._notes.rejected.append(event)

    def _request(self, event: int, asked_at: int) -> Request:
        log = self._log
        batch = self._histories.before(np.array([event]))
        used = batch.mask[0]
        items = batch.items[0][used]
        offered = self._histories.available(event)
        offered[items] = False
        return Request(
            event=event,
            asked_at=asked_at,
            user=int(log.user[event]),
            now_ms=int(log.ts_ms[max(asked_at - 1, 0)]),
            items=items,
            types=batch.types[0][used],
            ages_s=batch.ages_s[0][used],
            offered=offered,
            seen=np.setdiff1d(self._histories.seen(event), items),
        )

    def _product_lists(self, asked: Asked | None) -> dict[str, Rows]:
        """Return what the product answered, and what its parts would have, in rows of the log."""
        names = [PRODUCT, RANKER, FUSION, *(f"source {source}" for source in SOURCES)]
        if asked is None:
            return dict.fromkeys(names, np.empty(0, np.int64))
        union = asked.ranked.union
        orders = [asked.order, top_k(asked.ranked.scores, LIST_LENGTH), np.arange(LIST_LENGTH)]
        for column in range(len(SOURCES)):
            ranks = union.ranks[:, column]
            found = np.flatnonzero(ranks >= 0)
            orders.append(found[np.argsort(ranks[found], kind="stable")][:LIST_LENGTH])
        return {
            name: self._lived.log_rows(union.rows[order[order < len(union)]])
            for name, order in zip(names, orders, strict=True)
        }

    def _outcome(self) -> Outcome:
        notes, log = self._notes, self._log
        events = np.array(notes.events, np.int64)
        lists = {name: _padded(rows) for name, rows in notes.lists.items()}
        for hiding in [each for each in self._others if isinstance(each, SeenHidden)]:
            if np.array_equal(lists.get(hiding.name, []), lists.get(hiding.inner.name, [])):
                lists.pop(hiding.name, None)  # hiding what was seen made no difference
        rejections = Rejections(
            np.array(notes.rejected, np.int64),
            {name: _padded(rows) for name, rows in notes.before_rejections.items()},
            self._feedback.impressions(),
        )
        facts: dict[str, Any] = {
            "candidate_recall": notes.found / max(len(events), 1),
            "ranked_share": notes.ranked / max(len(events), 1),
            "training_seconds": notes.training_s,
            "ranker_exposures": notes.ranker_exposures,
            "refused_events": self._lived.refused,
        }
        return Outcome(
            name=self._name,
            log=log,
            events=events,
            targets=log.item[events],
            history_lengths=np.array(notes.history_lengths, np.int64),
            target_counts=np.array(notes.target_counts, np.int64),
            lists=lists,
            # The parts of the product are asked together, and each is as slow as the whole.
            seconds={name: notes.seconds.get(name, notes.seconds[PRODUCT]) for name in lists},
            baselines=[name for name in self._baselines if name in lists],
            facts=facts,
            playing={
                each.name: each.playing
                for each in self._others
                if isinstance(each, Ranked | SeenHidden)
            },
            rejections=rejections if notes.rejected else None,
            impressions=self._impressions.impressions(),
        )


def training_events(log: TrainingLog, plan: Plan) -> list[int]:
    """Return the events before which the product's models are trained, ascending.

    Before the first, the encoder alone; before the second, answers begin to count.
    """
    shares = np.linspace(plan.judge_from, 1, plan.trainings + 2)[1:-1]
    judged_from = log.cut(plan.judge_from)
    return [log.cut(plan.expose_from), judged_from, *(log.cut(share) for share in shares)]


def _padded(lists: Sequence[Rows]) -> NDArray[np.int64]:
    """Return (n, LIST_LENGTH) rows, -1 behind the end of each list."""
    padded = np.full((len(lists), LIST_LENGTH), -1, np.int64)
    for row, items in enumerate(lists):
        padded[row, : len(items)] = items
    return padded
