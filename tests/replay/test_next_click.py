"""Next-click quality: predict before update, and a baseline that sees the same."""

import itertools
from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.schema import Event
from replay.next_click import (
    LIST_LENGTH,
    RECENT_CLICKS,
    WINDOW_CLICKS,
    RecentPopular,
    Score,
    measure,
    windows,
)

T = 1_700_000_000_000


def _event(number: int, user: str, item: str = "i", kind: str = "click") -> Event:
    return Event(event_id=str(number), type=kind, user_id=user, item_id=item, ts_ms=T + number)


def test_no_clicks_score_nothing() -> None:
    """Not even a division by zero."""
    assert (Score().hr20, Score().mrr20) == (0.0, 0.0)


def test_a_score_counts_hits_and_ranks() -> None:
    """First, third, beyond the list, absent."""
    score = Score()
    for listed, clicked in [(["a"], "a"), (["b", "c", "a"], "a"), ([], "a"),
                            ([str(n) for n in range(LIST_LENGTH)] + ["a"], "a")]:  # fmt: skip
        score.note(listed, clicked)
    assert score.hr20 == 2 / 4
    assert score.mrr20 == (1 + 1 / 3) / 4


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["click", "impression"]))))
def test_windows_keep_the_order_and_nobody_clicks_twice_in_one(rows) -> None:
    """And no window could have been longer."""
    events = [_event(number, user, kind=kind) for number, (user, kind) in enumerate(rows)]
    cut = list(windows(events))
    assert [event for window in cut for event in window] == events
    for window, following in itertools.zip_longest(cut, cut[1:]):
        clickers = [event.user_id for event in window if event.type == "click"]
        assert len(set(clickers)) == len(clickers) <= WINDOW_CLICKS
        if following:
            assert following[0].user_id in clickers


def test_recent_popular_forgets_and_leaves_out_what_was_clicked() -> None:
    """Checked against counting the last clicks the slow way."""
    baseline, clicks = RecentPopular(), []
    for number in range(RECENT_CLICKS + 300):
        clicks.append(_event(number, f"u{number % 7}", f"i{number * number % 31 + number // 900}"))
    baseline.observe(clicks)
    baseline.observe([_event(9, "u0", "never", kind="impression")])
    counts = Counter(click.item_id for click in clicks[-RECENT_CLICKS:])
    own = {click.item_id for click in clicks if click.user_id == "u0"}
    listed = baseline.recommend("u0")
    rest = [count for item, count in counts.most_common() if item not in own]
    assert [counts[item] for item in listed] == rest[:LIST_LENGTH]
    assert not own & set(listed)
    assert len(baseline.recommend("stranger")) == min(LIST_LENGTH, len(counts))


def test_nothing_of_a_window_is_sent_before_its_lists_are_asked_for() -> None:
    """Each list is asked for as of the last event sent of its person."""
    events = [_event(0, "a", kind="impression"), _event(1, "a"), _event(2, "b"), _event(3, "a")]
    story: list[object] = []

    def recommend(user: str, after: str | None) -> Sequence[str]:
        story.append((user, after))
        return ["i"]

    product, popular = measure(events, recommend, RecentPopular(), lambda w: story.append(len(w)))
    assert story == [("a", None), ("b", None), 3, ("a", "1"), 1]
    assert (product.clicks, product.hr20, popular.clicks) == (3, 1.0, 3)
