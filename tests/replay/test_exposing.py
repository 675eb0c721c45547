"""Exposures: requests as the product would have ranked them, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from freshet.core.events.schema import Event, Item
from freshet.core.settings import Settings
from online_models.artifacts.tiny import tiny_items
from online_models.features import FEATURES, SOURCES
from online_models.training.histories import Histories
from online_models.training.labels import NEVER
from online_models.training.log import build_log
from online_models.training.slates import Slates
from replay.exposing import ExposingLife

START_MS = 1_760_000_000_000
N_EVENTS = 400
ITEMS = tiny_items(40)
Begin = Callable[..., ExposingLife]


def random_events(seed: int) -> list[Event]:
    """Clicks of twelve people; a few follow an impression a second before."""
    rng = np.random.default_rng(seed)
    events = []
    for second in range(0, 2 * N_EVENTS, 2):
        person, item = f"u{rng.integers(12)}", f"item-{rng.integers(40)}"
        kinds = ("impression", "click") if rng.random() < 0.3 else ("click",)
        for number, kind in enumerate(kinds):
            events.append(
                Event(
                    event_id=f"{second}-{number}",
                    type=kind,  # type: ignore[arg-type]
                    user_id=person,
                    item_id=item,
                    ts_ms=START_MS + 1000 * (second + number),
                )
            )
    return events


@pytest.fixture
def begin() -> Iterator[Begin]:
    """`begin(events, items=ITEMS)` begins to live a log."""
    begun: list[ExposingLife] = []

    def start(events: list[Event], items: list[Item] = ITEMS) -> ExposingLife:
        begun.append(ExposingLife(build_log(events, items), events, Settings(candidates=30)))
        return begun[-1]

    yield start
    for each in begun:
        each.close()


def requests_of(events: list[Event], start: int, end: int, most: int) -> list[int]:
    return Histories(build_log(events, ITEMS)).requests(start, end, most).tolist()


def test_an_exposure_says_where_the_right_item_stands(begin: Begin) -> None:
    """Its row holds the rank within the sources that found it; -1 where none did."""
    events = random_events(0)
    log, life = build_log(events, ITEMS), begin(events)
    missed = 0
    for event in requests_of(events, 60, N_EVENTS, 25):
        each = life.expose(event)
        assert each.event == event
        assert each.features.shape == (len(each.ranks), len(FEATURES))
        assert each.features.dtype == np.float16
        assert np.isfinite(each.features).all()
        assert each.ranks.shape[1] == len(SOURCES)
        asked = life._lived.ask(event, 1)  # the state is still the one of the exposure
        assert asked is not None
        rows = life._lived.log_rows(asked.ranked.union.rows).tolist()
        item = int(log.item[event])
        assert each.target == (rows.index(item) if item in rows else -1)
        missed += each.target < 0
    assert 0 < missed < 25


def test_a_request_does_not_know_its_own_slate(begin: Begin) -> None:
    """Where an impression is answered, the list was asked for before it."""
    events = random_events(0)
    answered = next(
        event
        for event in requests_of(events, 100, N_EVENTS, N_EVENTS)
        if events[event - 1].type == "impression"
    )
    life = begin(events)
    life.expose(answered)
    assert life._lived.now == answered - 1


def test_a_slate_is_ranked_as_it_was_before_it_was_shown(begin: Begin) -> None:
    """With what was clicked on of it; an item that did not exist yet is left out."""
    events = random_events(0)
    impressions = [event for event in range(200, 300) if events[event].type == "impression"]
    late = msgspec.structs.replace(events[impressions[0]], event_id="late", item_id="late")
    events.insert(impressions[0] + 1, late)  # two in the first of these slates
    created_ts_ms = late.ts_ms + 1
    items = [*ITEMS, Item(item_id="late", created_ts_ms=created_ts_ms)]
    log, life = build_log(events, items), begin(events, items)
    end = msgspec.structs.replace(late, event_id="end", ts_ms=late.ts_ms + 10**10)
    log = build_log([*events, end], items)
    slates = Slates(log, Histories(log)).between(impressions[0], len(log), 10)
    for slate in slates:
        shown = life.show(slate)
        offered = slate.items < len(ITEMS)
        assert shown.clicked.tolist() == slate.clicked[offered].tolist()
        assert shown.features.shape == (len(shown.clicked), len(FEATURES))
        assert shown.features.dtype == np.float16
        assert np.isfinite(shown.features).all()
        assert shown.closed_at == slate.closed_at
        assert life._lived.now == slate.asked_at
    assert len(slates[0].items) == 2
    assert any(slate.clicked.any() for slate in slates)


def test_the_event_itself_changes_the_target_alone(begin: Begin) -> None:
    """What the user is about to do, and what all do later, is not seen."""
    events = random_events(3)
    event = requests_of(events, 200, 250, 1)[0]
    end = int(Histories(build_log(events, ITEMS)).asked_at[event])
    later = [
        msgspec.structs.replace(each, item_id=f"item-{number % 40}")
        for number, each in enumerate(events[end:])
    ]
    one, two = begin(events).expose(event), begin([*events[:end], *later]).expose(event)
    assert np.array_equal(one.features, two.features)
    assert np.array_equal(one.ranks, two.ranks)


def test_what_came_of_a_request_is_its_label_and_no_feature(begin: Begin) -> None:
    """A dwell and a purchase after it, found or not; without them all else is the same."""
    events = random_events(5)
    event = requests_of(events, 200, 250, 1)[0]
    target = events[event]
    after = [
        msgspec.structs.replace(target, event_id=kind, type=kind, value=40.0)
        for kind in ("dwell", "purchase")
    ]
    one = begin(events).expose(event)
    two = begin([*events[: event + 1], *after, *events[event + 1 :]]).expose(event)
    assert one.labels == (True, False, False, False)
    assert two.labels == (True, True, True, False)
    assert two.followed_at == (event + 1, event + 2, NEVER)
    assert np.array_equal(one.features, two.features)
    assert begin(events, []).expose(0).labels == (True, False, False, False)


def test_a_newcomer_is_exposed_to_what_is_popular(begin: Begin) -> None:
    """No source that needs a history has found anything."""
    events = random_events(4)
    new = msgspec.structs.replace(events[-1], event_id="new", user_id="new", type="click")
    exposure = begin([*events, new]).expose(len(events))
    found = {
        name for name, ranks in zip(SOURCES, exposure.ranks.T, strict=True) if ranks.max() >= 0
    }
    assert found <= {"trending", "new", "popular"}
    assert "popular" in found
    assert exposure.target >= 0


def test_where_nothing_is_offered_the_exposure_is_empty(begin: Begin) -> None:
    """The first event of a log whose catalogue is silent."""
    empty = begin(random_events(0), []).expose(0)
    assert empty.target == -1
    assert empty.features.shape == (0, len(FEATURES))
    assert empty.ranks.shape == (0, len(SOURCES))


def test_time_does_not_run_backwards(begin: Begin) -> None:
    """A request before the last one would see its own future."""
    events = random_events(0)
    earlier, later = requests_of(events, 100, N_EVENTS, 2)
    life = begin(events)
    life.expose(later)
    with pytest.raises(ValueError, match="events have happened"):
        life.expose(earlier)
