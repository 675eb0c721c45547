"""Three encoders that begin alike, and learn on each in its own way."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from freshet.core.events.schema import INTERACTION, Event, Item
from freshet.core.settings import Settings
from online_models.training.histories import HistoryBatch
from online_models.training.log import TARGET, TrainingLog, build_log
from replay.evaluate.another_future import Witness, compare_futures, redrawn_future, request_at
from replay.evaluate.encoder_rows import FOLLOWED_EVENTS, GROWTH, encoder_rows
from replay.evaluate.request import LIST_LENGTH, Contestant, Request
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.world import Plan

FIRST = 1_500

Told = tuple[str, int, int]


class Scripted:
    """Writes down what it is told, and scores items by how often it was told to learn them."""

    def __init__(self, log: TrainingLog, ahead: int = 0) -> None:
        self.told: list[Told] = []
        self.asked: list[HistoryBatch] = []
        self._log = log
        self._ahead = ahead
        self._counts = np.zeros(len(log.items), np.float32)

    def copied(self) -> Scripted:
        other = Scripted(self._log, self._ahead)
        other.told, other._counts = list(self.told), self._counts.copy()
        return other

    def fit(self, end: int) -> None:
        self._learn("fit", 0, end)

    def fit_on(self, end: int) -> None:
        self._learn("fit on", 0, end)

    def follow(self, start: int, end: int) -> None:
        self._learn("follow", start, end)

    def scores(self, history: HistoryBatch) -> NDArray[np.float32]:
        self.asked.append(history)
        return np.repeat(self._counts[None], len(history.items), axis=0)

    def _learn(self, how: str, start: int, end: int) -> None:
        self.told.append((how, start, end))
        np.add.at(self._counts, self._log.item[start : end + self._ahead], 1)


@pytest.fixture(scope="module")
def written() -> tuple[TrainingLog, list[Event], list[Item]]:
    """Four days of a hundred people."""
    plan = Plan(users=100, items=60, days=4)
    world, rows = generate(plan)
    events, items = list(to_events(plan, rows)), to_items(plan, world)
    return build_log(events, items), events, items


@pytest.fixture
def rows(written: Any) -> tuple[list[Contestant], list[Scripted]]:
    """The three, and the encoders that were made."""
    made: list[Scripted] = []

    def fresh(log: TrainingLog) -> Scripted:
        made.append(Scripted(log))
        return made[-1]

    return encoder_rows(written[0], fresh, FIRST), made


def encoder_of(row: Contestant) -> Any:
    """What a row has learned."""
    return row._rankings[0]._encoder  # type: ignore[attr-defined]


def test_they_share_one_first_training(rows: Any) -> None:
    """Made when the first of them is told to learn, on the events before where counting begins."""
    contestants, made = rows
    assert [each.name for each in contestants] == [
        "encoder-frozen", "encoder-daily", "encoder-online",
    ]  # fmt: skip
    assert made == []
    for each in contestants:
        each.learn(FIRST)
    assert [each.told for each in made] == [[("fit", 0, FIRST)]]
    encoders = [encoder_of(each) for each in contestants]
    assert len({id(each) for each in [*encoders, *made]}) == 4
    assert [each.told for each in encoders] == [[("fit", 0, FIRST)]] * 3


@pytest.mark.parametrize("step", [1_000_000, 37])
def test_each_learns_on_in_its_own_way(written: Any, rows: Any, step: int) -> None:
    """However often they are told to learn: at the same events, and never of later ones."""
    log, contestants = written[0], rows[0]
    for each in contestants:
        for end in [*range(FIRST, len(log), step), len(log)]:
            each.learn(end)
            assert all(told[2] <= end for told in encoder_of(each).told)
    frozen, daily, online = (encoder_of(each).told[1:] for each in contestants)
    assert frozen == []
    days = log.ts_ms // 86_400_000
    visits = np.cumsum(TARGET[log.kind])
    assert 2 <= len(daily) <= 4
    for _, _, end in daily:
        assert days[end] > days[end - 1]
    assert all(
        visits[after[2] - 1] >= (1 + GROWTH) * visits[before[2] - 1]
        for before, after in pairwise(daily)
    )
    interactions = np.flatnonzero(INTERACTION[log.kind])
    followed = interactions[interactions >= FIRST]
    assert [how for how, _, _ in online] == ["follow"] * (len(followed) // FOLLOWED_EVENTS)
    assert [start for _, start, _ in online] == [FIRST, *(end for _, _, end in online[:-1])]
    assert [int((followed < end).sum()) for _, _, end in online] == [
        FOLLOWED_EVENTS * (number + 1) for number in range(len(online))
    ]


def test_the_whole_catalogue_is_ranked_by_the_history(written: Any, rows: Any) -> None:
    """As the encoder scores it, in the rows of the log; what is not offered is passed over."""
    log, row = written[0], rows[0][0]
    row.learn(FIRST)
    user = int(log.user[FIRST - 1])
    request = request_at(log, FIRST, user)
    listed = row.recommend(request)
    counts = np.bincount(log.item[:FIRST], minlength=len(log.items))
    offered = np.flatnonzero(request.offered)
    best = offered[np.lexsort((log.hashes[offered], -counts[offered]))]
    assert listed.tolist() == best[:LIST_LENGTH].tolist()
    history = encoder_of(row).asked[-1]
    assert int(history.mask.sum()) == len(request.items)
    assert history.mask[0, : len(request.items)].all()
    assert history.ages_s[history.mask].tolist() == request.ages_s.tolist()
    assert history.types[history.mask].tolist() == request.types.tolist()


def test_a_stranger_gets_what_is_popular(written: Any, rows: Any) -> None:
    """The encoder is not even asked."""
    log, row = written[0], rows[0][0]
    row.learn(FIRST)
    nothing = np.empty(0, np.int64)
    request = Request(
        event=FIRST,
        asked_at=FIRST,
        user=log.n_users,
        now_ms=int(log.ts_ms[FIRST - 1]),
        items=nothing,
        types=nothing,
        ages_s=np.empty(0, np.float32),
        offered=np.ones(len(log.items), bool),
    )
    listed = row.recommend(request)
    visits = np.bincount(log.item[:FIRST][TARGET[log.kind[:FIRST]]], minlength=len(log.items))
    assert visits[listed[0]] == visits.max()
    assert len(listed) == LIST_LENGTH
    assert encoder_of(row).asked == []


@pytest.mark.parametrize("ahead", [0, 300])
def test_learning_ahead_is_caught(written: Any, ahead: int) -> None:
    """By the check with another future, which covers the rows as it covers every contestant."""
    log, events, _ = written

    def others(log: TrainingLog) -> list[Contestant]:
        return encoder_rows(log, lambda own: Scripted(own, ahead), FIRST)

    false = redrawn_future(log, events, FIRST, np.random.default_rng(3))
    check = compare_futures(
        Witness(log, events, Settings(), others), Witness(*false, Settings(), others), FIRST
    )
    assert check.passed is not bool(ahead), check.found
