"""A log is read in the order of time, whatever the order of the file."""

import numpy as np
import pytest

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import EVENT_TYPES, Event, Item
from online_models.training.log import LogTooShortError, build_log

pytestmark = pytest.mark.training


def clicks(n: int) -> list[Event]:
    return [
        Event(
            event_id=str(number),
            user_id=f"u{number % 3}",
            type="click",
            item_id=f"i{number % 5}",
            ts_ms=1_760_000_000_000 + 1000 * (number // 4),
        )
        for number in range(n)
    ]


def test_time_is_the_only_order() -> None:
    """A shuffled file makes the same log; ties keep the order they have in the file."""
    events = clicks(300)
    in_order = build_log(events, [])
    late_first = build_log([*events[200:], *events[:200]], [])
    assert np.array_equal(in_order.ts_ms, late_first.ts_ms)
    assert np.all(np.diff(in_order.ts_ms) >= 0)
    assert in_order.draw[:4].tolist() == build_log(events, []).draw[:4].tolist()


def test_items_of_events_are_added_to_the_catalogue() -> None:
    """Behind the known ones, without content."""
    known = [Item(item_id="i3", title="Three", created_ts_ms=1_750_000_000_000)]
    log = build_log(clicks(300), known)
    assert [item.item_id for item in log.items] == ["i3", "i0", "i1", "i2", "i4"]
    assert log.items[0].title == "Three"
    assert log.created_ts_ms.tolist() == [1_750_000_000_000, 0, 0, 0, 0]
    assert np.array_equal(log.hashes, item_hashes(["i3", "i0", "i1", "i2", "i4"]))
    assert log.n_users == 3


@pytest.mark.parametrize("events", [[], clicks(1), clicks(199)])
def test_a_log_that_teaches_nothing_is_refused(events: list[Event]) -> None:
    """The sentence says how much there is and what is needed."""
    with pytest.raises(LogTooShortError, match=rf"holds {len(events)} clicks.* needs 200"):
        build_log(events, [])


def test_impressions_alone_teach_nothing() -> None:
    """However many."""
    shown = [Event(**{**_fields(event), "type": "impression"}) for event in clicks(500)]
    with pytest.raises(LogTooShortError, match="holds 0 clicks"):
        build_log(shown, [])


@pytest.mark.parametrize(
    ("stars", "low_rating", "kind"),
    [
        (1.0, None, "dislike"),
        (2.5, None, "rating"),
        (2.5, 3.0, "dislike"),
        (None, 3.0, "rating"),
    ],
)
def test_a_rating_of_few_stars_is_a_dislike(
    stars: float | None, low_rating: float | None, kind: str
) -> None:
    """As the setting says, and by default as it does by default; without stars it is a rating."""
    last = Event(
        event_id="r", user_id="u", type="rating", item_id="i", ts_ms=1_770_000_000_000, value=stars
    )
    log = build_log([*clicks(300), last], [], low_rating=low_rating)
    assert EVENT_TYPES[log.kind[-1]] == kind


def test_the_log_is_cut_by_interactions() -> None:
    """Half of the interactions lie before the cut at one half."""
    log = build_log(clicks(400), [])
    assert log.cut(0.5) == 200
    assert log.cut(0.0) == 0
    assert log.cut(1.0) == 399


def _fields(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in ("event_id", "user_id", "item_id", "ts_ms")}
