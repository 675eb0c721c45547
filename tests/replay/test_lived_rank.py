"""A lived log ranks what others chose, as the product does, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.check import load_bundle
from online_models.artifacts.tiny import write_tiny_bundle
from online_models.training.log import TrainingLog, build_log
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.lived import LivedLog
from replay.world import Plan

EVENT = 900


class Invented(NamedTuple):
    """A small generated log; half of its items are in no catalogue."""

    log: TrainingLog
    events: list[Event]


@pytest.fixture(scope="module")
def invented() -> Invented:
    plan = Plan(users=80, items=60, days=2)
    world, rows = generate(plan)
    events, items = list(to_events(plan, rows)), to_items(plan, world)
    return Invented(build_log(events, items[::2]), events)


@pytest.fixture(scope="module")
def bundle(invented: Invented, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Models over some of the items; the others are embedded when they come."""
    folder = tmp_path_factory.mktemp("bundle")
    write_tiny_bundle(folder, invented.log.items[::3])
    return load_bundle(folder)


@pytest.fixture
def begin(invented: Invented) -> Iterator[Callable[..., LivedLog]]:
    """`begin(bundle=None, **settings)` lives up to `EVENT`, and asks there."""
    begun: list[LivedLog] = []

    def start(bundle: Bundle | None = None, **changes: Any) -> LivedLog:
        settings = msgspec.structs.replace(Settings(candidates=30), **changes)
        begun.append(LivedLog(invented.log, invented.events, settings))
        if bundle is not None:
            begun[-1].use(bundle)
        begun[-1].live(EVENT)
        assert begun[-1].ask(EVENT, 10) is not None
        return begun[-1]

    yield start
    for each in begun:
        each.close()


def some_rows(life: LivedLog) -> np.ndarray:
    """Rows of the log of items that exist."""
    return np.flatnonzero(life.log.exists_from() <= life.now)[::4]


def test_a_score_is_a_probability_of_a_click(
    begin: Callable[..., LivedLog], bundle: Bundle
) -> None:
    """In the order in which the items are given, whatever else is valued."""
    life, rich = begin(bundle), begin(bundle, value_dwell=2.0, value_conversion=9.0)
    rows = some_rows(life)
    scored = life.rank(EVENT, rows)
    assert scored.by_ranker
    assert ((scored.scores > 0) & (scored.scores < 1)).all()
    assert len(set(scored.scores.tolist())) > len(rows) // 2
    assert life.rank(EVENT, rows[::-1]).scores.tolist() == scored.scores[::-1].tolist()
    assert rich.rank(EVENT, rows).scores.tolist() == scored.scores.tolist()


def test_what_is_rejected_is_judged_by_what_is_served(
    begin: Callable[..., LivedLog], bundle: Bundle
) -> None:
    """All that is valued counts then; by clicks, what somebody rejected lowers no probability."""
    life, rich = begin(bundle), begin(bundle, value_conversion=9.0, rejection_weight=50.0)
    rows = some_rows(life)
    by_clicks, served = rich.rank(EVENT, rows), rich.rank(EVENT, rows, by_clicks=False)
    assert by_clicks.scores.tolist() == life.rank(EVENT, rows).scores.tolist()
    assert served.scores.tolist() != by_clicks.scores.tolist()


def test_a_rejected_item_keeps_its_probability_of_a_click(
    begin: Callable[..., LivedLog], bundle: Bundle
) -> None:
    """As served it is 0, which no log loss survives: the user of the event hid one of these."""
    life = begin(bundle)
    rows = some_rows(life)
    served = life.rank(EVENT, rows, by_clicks=False).scores
    assert (served == 0).sum() == 1
    assert (life.rank(EVENT, rows).scores[served == 0] > 0.01).all()


def test_without_a_ranker_it_is_none(begin: Callable[..., LivedLog]) -> None:
    """But an order all the same."""
    life = begin()
    scored = life.rank(EVENT, some_rows(life))
    assert not scored.by_ranker
    assert np.isfinite(scored.scores).all()


def test_what_is_not_offered_has_no_score(begin: Callable[..., LivedLog], bundle: Bundle) -> None:
    """Beside what is, and alone."""
    life = begin(bundle)
    exists = life.log.exists_from() <= life.now
    assert not exists.all()
    rows = np.arange(len(exists))
    assert (np.isfinite(life.rank(EVENT, rows).scores) == exists).all()
    unborn = life.rank(EVENT, rows[~exists])
    assert np.isnan(unborn.scores).all()
    assert not unborn.by_ranker


def test_ranking_leaves_no_trace(begin: Callable[..., LivedLog], bundle: Bundle) -> None:
    """Whoever ranks between two requests answers the second as if nobody had asked."""
    quiet, busy = begin(bundle), begin(bundle)
    for event in range(EVENT, EVENT + 600, 60):
        for life in (quiet, busy):
            life.live(event)
        busy.rank(event, some_rows(busy))
        answers = []
        for life in (quiet, busy):
            life.live(event + 20)
            asked = life.ask(event, 10)
            assert asked is not None
            assert asked.ranked.features is not None
            rows = asked.ranked.union.rows
            answers.append((rows.tolist(), asked.order.tolist(), asked.ranked.features.tobytes()))
        assert answers[0] == answers[1]
