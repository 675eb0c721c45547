"""Who leads: popular, trending, new, and the priors."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.events.schema import Item
from freshet.core.state.records import unpack_items
from online_models.maths.bandit_prior import ClickPrior, learn_click_prior
from online_models.sources import NEW_ITEM_AGE_S
from serving.item_table import ItemTable
from serving.standings import PRIOR_ITEMS, compute_standings, learn_priors

NOW_MS = 1_763_800_000_000
DAY_MS = 86_400_000


def _table(**trends: list[int]) -> ItemTable:
    """Items with so many events in the newest bucket of each half-life."""
    table = ItemTable()
    table.offer([Item(item_id=item_id) for item_id in trends])
    records = unpack_items([None] * len(trends))
    records["last_ts_ms"] = NOW_MS
    for row, counts in enumerate(trends.values()):
        for level, count in enumerate(counts):
            width_ms = (300, 3_600, 86_400, 604_800)[level] * 1000 // 4
            records["trend"][row, level, (NOW_MS // width_ms) % 16] = count
        records["people"][row] = counts[-1]
    table.put_records(list(trends), records)
    return table


def test_an_empty_table_has_standings_without_rows() -> None:
    """Nothing leads."""
    standings = compute_standings(ItemTable(), NOW_MS, [])
    assert len(standings.popular.rows) == 0
    assert len(standings.trending.rows) == 0
    assert len(standings.newest.rows) == 0


def test_the_popular_have_most_events_and_items_without_events_follow() -> None:
    """Every offered item has a place, best first."""
    table = _table(few=[0, 0, 2, 2], none=[0, 0, 0, 0], many=[0, 0, 9, 9])
    popular = compute_standings(table, NOW_MS, []).popular
    assert [table.ids[row] for row in popular.rows] == ["many", "few", "none"]
    assert (np.diff(popular.scores) <= 0).all()


def test_trending_is_what_exceeds_its_own_week() -> None:
    """A burst trends; as many events as ever, or none, do not."""
    table = _table(burst=[9, 30, 30, 30], steady=[0, 1, 24, 168], none=[0, 0, 0, 0])
    trending = compute_standings(table, NOW_MS, []).trending
    assert [table.ids[row] for row in trending.rows][:1] == ["burst"]
    assert "none" not in {table.ids[row] for row in trending.rows}


def test_withdrawn_items_have_no_standing() -> None:
    """Neither popular nor trending nor new."""
    table = _table(a=[9, 9, 9, 9], b=[1, 1, 1, 1])
    table.withdraw(["a"])
    standings = compute_standings(table, NOW_MS, [])
    assert standings.popular.rows.tolist() == [1]
    assert 0 not in standings.trending.rows


def test_new_items_are_those_created_lately_newest_first() -> None:
    """By the time of the log where it has one, else by the clock."""
    table = ItemTable()
    ages_days = {"old": NEW_ITEM_AGE_S / 86_400 + 1, "week": 7, "today": 0}
    table.offer(
        [
            Item(item_id=item_id, created_ts_ms=NOW_MS - int(age * DAY_MS))
            for item_id, age in ages_days.items()
        ]
        + [Item(item_id="unknown age")]
    )
    newest = compute_standings(table, NOW_MS, []).newest
    assert [table.ids[row] for row in newest.rows] == ["today", "week"]
    record = unpack_items([None])
    record["last_ts_ms"] = NOW_MS + 365 * DAY_MS
    table.put_records(["old"], record)
    assert len(compute_standings(table, NOW_MS, []).newest.rows) == 0


def test_each_segment_has_a_prior_of_its_own() -> None:
    """Where there are impressions it is learned, elsewhere it is that of a fresh installation."""
    table = _table(a=[0, 0, 0, 0], b=[0, 0, 0, 0])
    table.impressions[:2, 1] = 5_000
    table.clicks[:2, 1] = 1_000
    priors = learn_priors(table)
    assert priors[0].rate == ClickPrior().rate
    assert 0.15 < priors[1].rate < 0.25


def test_some_items_of_a_large_catalogue_tell_its_prior() -> None:
    """Within a tenth of what all would tell."""
    rng = np.random.default_rng(0)
    n = 5 * PRIOR_ITEMS
    table = ItemTable(n)
    table.offer([Item(item_id=str(row), categories=[f"c{row % 7}"]) for row in range(n)])
    table.impressions[:n, 2] = rng.integers(1, 2_000, n)
    table.clicks[:n, 2] = rng.binomial(table.impressions[:n, 2], rng.beta(3, 97, n))
    some = learn_priors(table)[2]
    everything = learn_click_prior(
        table.impressions[:n, 2], table.clicks[:n, 2], table.codes(np.arange(n))
    )
    assert some.rate == pytest.approx(everything.rate, rel=0.1)
    assert some.strength == pytest.approx(everything.strength, rel=0.1)
    np.testing.assert_allclose(some.category_rates, everything.category_rates, rtol=0.1)


def test_a_new_item_has_the_prior_of_its_categories() -> None:
    """Also in a category that came after the prior was learned."""
    table = ItemTable()
    names = [f"{kind}{number}" for kind in ("loved", "ignored") for number in range(5)]
    table.offer([Item(item_id=name, categories=[name[:-1]]) for name in names])
    table.impressions[:10, 0] = 2_000
    table.clicks[:10, 0] = [200] * 5 + [20] * 5
    prior = learn_priors(table)[0]
    table.offer([Item(item_id=name, categories=[name]) for name in ("loved", "ignored", "later")])
    alpha, beta = prior.of(table.codes(table.rows(["loved", "ignored", "later"])))
    loved, ignored, later = alpha / (alpha + beta)
    assert 0.05 < loved < 0.1
    assert 0.003 < ignored < 0.01
    assert ignored < later < loved
