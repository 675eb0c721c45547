"""The benchmark of the order without a ranker, and its generated log of news."""

from __future__ import annotations

from collections import Counter

from benchmarks.fallback_blend import measure, news_log
from freshet.core.settings import Settings


def test_news_live_for_hours() -> None:
    """Most clicks come within six hours of the publication; the log is in the order of time."""
    events, items = news_log(2_000)
    created = {item.item_id: item.created_ts_ms or 0 for item in items}
    ages_h = [(event.ts_ms - created[event.item_id]) / 3_600_000 for event in events]
    assert min(ages_h) >= 0
    assert sum(age < 6 for age in ages_h) > 0.7 * len(events)
    assert [event.ts_ms for event in events] == sorted(event.ts_ms for event in events)
    assert news_log(50, seed=1)[0] == news_log(50, seed=1)[0][:50] != news_log(50, seed=2)[0]


def test_a_few_articles_are_read_all_the_time() -> None:
    """A day and a half after they appeared: they lead by the week and by all time."""
    events, items = news_log(4_000)
    first_quarter = {item.item_id for item in items[: len(items) // 4]}
    late = Counter(event.item_id for event in events[3_000:])
    assert sum(number for item, number in late.items() if item in first_quarter) > 20


def test_where_popularity_moves_fast_the_blend_beats_its_best_source() -> None:
    """And the fixed weights by a multiple, which are far behind the best simple method on news."""
    found = measure("news", *news_log(5_000), requests=700, settings=Settings())
    assert found["blend"] > 1.5 * found["fixed"]
    assert found["blend_less_best_source"] > -2 * found["standard_error"]
