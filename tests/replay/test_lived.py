"""A lived log: the product itself, which sees all of the past and nothing of the future."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import (
    CLICK,
    ENCODED,
    EVENT_TYPES,
    IMPRESSION,
    TYPE_CODES,
    Event,
    EventType,
    Item,
)
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from freshet.core.state.records import HISTORY_LENGTH, unpack_users
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.check import load_bundle
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from online_models.features import FEATURE_LIMIT, FEATURES, SOURCES
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog, build_log
from replay import lived
from replay.lived import STANDINGS_EVENTS, Asked, LivedLog
from serving import pipeline

START_MS = 1_760_000_000_000
N_EVENTS, N_USERS, N_ITEMS = 500, 12, 40
KINDS: list[EventType] = [*["click"] * 5, "view", "dwell", "like", "hide", "impression"]
K = 10


@dataclass(frozen=True)
class Written:
    """A log as it is handed to its life."""

    log: TrainingLog
    events: list[Event]


def write(events: Sequence[Event], items: Sequence[Item]) -> Written:
    return Written(build_log(events, items), list(events))


def random_events(seed: int, n: int = N_EVENTS) -> list[Event]:
    """Events of all types over days, with ties in time."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, 200_000, n))
    return [
        Event(
            event_id=f"e{number}",
            type=KINDS[rng.integers(len(KINDS))],
            user_id=f"u{rng.integers(N_USERS)}",
            item_id=f"item-{rng.integers(N_ITEMS)}",
            ts_ms=START_MS + 1000 * int(second),
        )
        for number, second in enumerate(seconds)
    ]


def some_items() -> list[Item]:
    """Some known from the first, some created later, of some the catalogue says nothing."""
    created = [START_MS - 1, START_MS + 100_000_000, None]
    return [
        msgspec.structs.replace(item, created_ts_ms=created[number % 3])
        for number, item in enumerate(tiny_items(N_ITEMS))
    ]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Two bundles over half of the items; the others are embedded when they come."""
    folder = tmp_path_factory.mktemp("models")
    registry = Registry(folder, checker=load_bundle)
    items = tiny_items(N_ITEMS)[::2]
    return [registry.load(publish_tiny_bundle(folder, items, seed=seed)) for seed in (0, 1)]


@pytest.fixture
def begin() -> Iterator[Callable[..., LivedLog]]:
    """`begin(written, bundle=None, **settings)`."""
    begun: list[LivedLog] = []

    def start(written: Written, bundle: Bundle | None = None, **changes: Any) -> LivedLog:
        settings = msgspec.structs.replace(Settings(candidates=30), **changes)
        begun.append(LivedLog(written.log, written.events, settings))
        if bundle is not None:
            begun[-1].use(bundle)
        return begun[-1]

    yield start
    for each in begun:
        each.close()


@pytest.fixture(scope="module")
def written() -> Written:
    return write(random_events(0), some_items())


def asked_at_or_none(life: LivedLog, event: int) -> Asked | None:
    life.live(event)
    return life.ask(event, K)


def asked_at(life: LivedLog, event: int) -> Asked:
    asked = asked_at_or_none(life, event)
    assert asked is not None
    return asked


def answer(life: LivedLog, asked: Asked) -> tuple[list[int], list[int], bytes, bytes]:
    """Candidates, list, features and ranks, in rows of the log."""
    ranked = asked.ranked
    assert ranked.features is not None
    rows = life.log_rows(ranked.union.rows)
    return (
        rows.tolist(),
        rows[asked.order].tolist(),
        ranked.features.tobytes(),
        ranked.union.ranks.tobytes(),
    )


# --- what a request sees ---


def test_everything_before_a_request_is_seen(
    begin: Callable[..., LivedLog], written: Written
) -> None:
    """The user's history, and what was counted of every item, as the slow twins say.

    Where every event adds; what is held back in a window, `tests/streams/test_user_fold_loops.py`
    says.
    """
    life, log = begin(written, contribution_window_s=0), written.log
    for event in (150, 151, 400):
        asked = asked_at(life, event)
        own = [
            item_hashes([each.item_id])[0]
            for each in written.events[:event]
            if each.user_id == written.events[event].user_id and each.type != "impression"
        ]
        assert asked.moment.profile.hashes.tolist() == own[::-1][:HISTORY_LENGTH]
        table, past = asked.moment.table, slice(0, event)
        for row, item in enumerate(life.log_rows(np.arange(table.size)).tolist()):
            kinds = log.kind[past][log.item[past] == item]
            assert table.interactions[row] == ENCODED[kinds].sum()
            assert table.impressions[row].sum() == (kinds == IMPRESSION).sum()
            assert table.clicks[row].sum() == (kinds == CLICK).sum()


def test_what_others_did_just_before_is_found(begin: Callable[..., LivedLog]) -> None:
    """One person goes from here to there; the next, who is here, is shown the way."""
    events = random_events(0)
    walk = [("first", "here"), ("first", "there"), ("next", "here"), ("next", "there")]
    for number, (user, item) in enumerate(walk):
        ts_ms = events[-1].ts_ms + 1000
        events.append(
            Event(event_id=f"w{number}", type="click", user_id=user, item_id=item, ts_ms=ts_ms)
        )
    life = begin(write(events, some_items()))
    found = asked_at(life, N_EVENTS + 3).found
    for source in ("covisitation", "transitions", "neighbours"):
        rows = life.log_rows(found[SOURCES.index(source)].rows)
        assert [life.log.items[row].item_id for row in rows] == ["there"], source


@pytest.mark.parametrize("event", [60, 200, 431])
def test_the_future_changes_nothing(
    begin: Callable[..., LivedLog], bundles: list[Bundle], written: Written, event: int
) -> None:
    """Whatever happens from the request on, the user's own next event with it.

    Times and items are shuffled too; only who asks at the moment, and when, stays.
    """
    rng = np.random.default_rng(event)
    others = random_events(1)
    past, now = written.events[:event], written.events[event]
    own = msgspec.structs.replace(now, type="purchase", item_id=f"item-{rng.integers(N_ITEMS)}")
    later = [
        msgspec.structs.replace(each, event_id=f"x{n}", ts_ms=now.ts_ms + int(gap))
        for n, (each, gap) in enumerate(
            zip(others, np.sort(rng.integers(0, 10**9, len(others))), strict=True)
        )
    ]
    changed = write([*past, own, *later], some_items())
    answers = []
    for each in (written, changed):
        life = begin(each, bundles[0])
        for earlier in range(0, event, 37):
            asked_at_or_none(life, earlier)
        answers.append(answer(life, asked_at(life, event)))
    assert answers[0] == answers[1]


def test_a_request_never_goes_back(begin: Callable[..., LivedLog], written: Written) -> None:
    """It would see its own future."""
    life = begin(written)
    life.live(200)
    life.live(200)
    with pytest.raises(ValueError, match="200 events have happened, 199 were asked for"):
        life.live(199)


# --- what is recommended ---


def test_what_does_not_exist_yet_is_never_recommended(
    begin: Callable[..., LivedLog], bundles: list[Bundle], written: Written
) -> None:
    """On offer is what the catalogue has created, and what somebody has acted on before."""
    life, histories = begin(written, bundles[0]), Histories(written.log)
    sizes = set()
    for event in range(0, N_EVENTS, 23):
        asked = asked_at_or_none(life, event)
        available = histories.available(event)
        sizes.add(int(available.sum()))
        offered = asked.moment.table.offered_ids() if asked else set()
        exists = {written.log.items[row].item_id for row in np.flatnonzero(available)}
        assert offered == exists
        if asked is not None:
            assert available[life.log_rows(asked.ranked.union.rows)].all()
    assert len(sizes) > 5


def test_where_nothing_is_offered_there_is_no_answer(begin: Callable[..., LivedLog]) -> None:
    """A silent catalogue, before the first event."""
    life = begin(write(random_events(0), []))
    life.live(0)
    assert life.ask(0, K) is None
    life.live(STANDINGS_EVENTS)
    assert life.ask(STANDINGS_EVENTS, K) is not None


def test_what_the_user_acted_on_is_hidden(begin: Callable[..., LivedLog], written: Written) -> None:
    """Unless the installation shows it."""
    hiding, showing = begin(written), begin(written, hide_seen=False)
    for event in (100, 300):
        seen = set(asked_at(hiding, event).moment.profile.rows.tolist())
        assert seen
        assert seen.isdisjoint(asked_at(hiding, event).ranked.union.rows.tolist())
        assert seen & set(asked_at(showing, event).ranked.union.rows.tolist())


def test_a_stage_of_the_server_is_a_stage_of_the_evaluation(
    begin: Callable[..., LivedLog], written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server's funnel does to a list is done to the list that is judged."""
    life = begin(written)
    life.live(400)
    before = asked_at(life, 400)
    ordered = pipeline.rerank

    def reversed_order(*arguments: Any) -> Any:
        return ordered(*arguments)[::-1]

    monkeypatch.setattr(pipeline, "rerank", reversed_order)
    assert asked_at(life, 400).order.tolist() == before.order[::-1].tolist()


def test_the_same_life_gives_the_same_answers(
    begin: Callable[..., LivedLog], bundles: list[Bundle], written: Written
) -> None:
    """Candidates, features and lists, bit for bit."""
    lives = [begin(written, bundles[0]) for _ in range(2)]
    for event in range(40, N_EVENTS, 46):
        one, two = (answer(life, asked_at(life, event)) for life in lives)
        assert one == two


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_features_are_finite_and_bounded(
    begin: Callable[..., LivedLog], bundles: list[Bundle], seed: int
) -> None:
    """In any log, with a bundle or without; each candidate was found by some source."""
    written = write(random_events(seed), some_items()[::2])
    for bundle in (None, bundles[0]):
        life = begin(written, bundle)
        for event in range(30, N_EVENTS, 78):
            ranked = asked_at(life, event).ranked
            assert ranked.features is not None
            assert ranked.features.shape == (len(ranked.union), len(FEATURES))
            assert np.isfinite(ranked.features).all()
            assert np.abs(ranked.features).max() <= FEATURE_LIMIT
            assert (ranked.union.ranks >= 0).any(axis=1).all()
            assert ranked.by_ranker == (bundle is not None)


# --- the state ---


def state_of(life: LivedLog) -> dict[str, dict[str, bytes]]:
    """All that the folds wrote but where they stand, and what is on its way."""
    outbox = Keys(Settings().namespace).outbox(0)
    return {key: fields for key, fields in life._store.hashes.items() if key != outbox}


def users_of(life: LivedLog) -> dict[str, bytes]:
    return state_of(life)[Keys(Settings().namespace).users(0)]


@hypothesis_settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.lists(st.integers(0, N_EVENTS - 1), max_size=6))
def test_it_does_not_matter_in_what_steps_one_lives(
    begin: Callable[..., LivedLog],
    bundles: list[Bundle],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    steps: list[int],
) -> None:
    """One round or many, also with questions on the way: the same records, byte for byte."""
    written = write(random_events(seed), some_items())
    leap, stepped = begin(written, bundles[0]), begin(written, bundles[0])
    leap.live(N_EVENTS)
    with monkeypatch.context() as patch:
        patch.setattr(lived, "MOST_AT_ONCE", 64)
        for step in sorted(steps):
            asked_at_or_none(stepped, step)
        stepped.live(N_EVENTS)
    assert state_of(leap) == state_of(stepped)
    assert set(users_of(leap)) == {event.user_id for event in written.events}


def test_every_event_is_folded_once(begin: Callable[..., LivedLog], written: Written) -> None:
    """The counters of the records add up to the log."""
    life = begin(written)
    life.live(N_EVENTS)
    users = unpack_users(list(users_of(life).values()))
    kinds = [TYPE_CODES[event.type] for event in written.events]
    counts = np.bincount(kinds, minlength=len(EVENT_TYPES))
    assert users["type_counts"].sum(axis=0).tolist() == counts.tolist()
    assert life.refused == 0


def test_what_the_folds_refuse_is_counted(begin: Callable[..., LivedLog]) -> None:
    """A dead letter, as in the product."""
    events = random_events(0)
    events[7] = msgspec.structs.replace(events[7], user_id="")
    life = begin(write(events, some_items()))
    life.live(N_EVENTS)
    assert life.refused == 1


# --- bundles ---


def test_a_bundle_is_used_from_now_on(
    begin: Callable[..., LivedLog], bundles: list[Bundle], written: Written
) -> None:
    """In the funnel, and in the sessions that the fold keeps; a later one takes its place."""
    life = begin(written)
    assert asked_at(life, 200).moment.bound is None
    tags = []
    for number, bundle in enumerate(bundles):
        life.use(bundle)
        asked = asked_at(life, 300 + 100 * number)
        assert asked.moment.bound is not None
        assert asked.moment.bound.bundle is bundle
        assert asked.moment.bound.has_vector[asked.ranked.union.rows].all()
        users = unpack_users(list(users_of(life).values()))
        tags.append(set(users["model_tag"].tolist()))
    assert bundles[0].tag in tags[0]
    assert bundles[1].tag in tags[1]


def test_another_bundle_is_another_order(
    begin: Callable[..., LivedLog], bundles: list[Bundle], written: Written
) -> None:
    """Else the answers would not come from it."""
    lists = []
    for bundle in bundles:
        life = begin(written, bundle)
        lists.append(answer(life, asked_at(life, 400))[1])
    assert lists[0] != lists[1]
