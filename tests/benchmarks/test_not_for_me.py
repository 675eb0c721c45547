"""The benchmark of what "not for me" brings, on a small world without a model."""

from __future__ import annotations

import json

from click.testing import CliRunner

from benchmarks.not_for_me import AFTER_CLICKS, KINDS, Counted, figures_of, main, make_visits
from freshet.core.events.schema import Item
from replay.titles import CATEGORIES

END_MS = 1_760_000_000_000
CATALOGUE = [
    Item(item_id=f"{name}-{number}", categories=[name])
    for name in CATEGORIES
    for number in range(8)
]


def test_each_kind_of_event_is_sent_on_the_same_items() -> None:
    """All of the category; clicks elsewhere come before the hides of some; times ascend."""
    visits = make_visits(CATALOGUE, newcomers=5, n_events=6, end_ts_ms=END_MS, seed=3)
    sent = {
        group: [
            [event.item_id for event in visit.events] for visit in visits if visit.group == group
        ]
        for group in (*KINDS, AFTER_CLICKS)
    }
    assert all(items == sent["hide"] for items in sent.values())
    for visit in visits:
        kind = "hide" if visit.group == AFTER_CLICKS else visit.group
        assert {event.type for event in visit.events} == {kind}
        assert {event.item_id.split("-")[0] for event in visit.events} == {visit.category}
        assert len({event.item_id for event in visit.events}) == 6
        assert len(visit.history) == (3 if visit.group == AFTER_CLICKS else 0)
        assert visit.category not in {event.item_id.split("-")[0] for event in visit.history}
        assert {event.type for event in visit.history} <= {"click"}
    times = [event.ts_ms for visit in visits for event in (*visit.history, *visit.events)]
    assert times == sorted(set(times))
    assert times[0] > END_MS
    assert visits[-1].group == "click"  # it moves what is popular


def test_the_figures_are_means_and_counts_of_who_got_more() -> None:
    """`before` is that of the newcomers, whatever they send; equal is not worse."""
    counted = [
        Counted("hide", 2, 1),
        Counted("hide", 0, 1),
        Counted(AFTER_CLICKS, 5, 5),
        Counted("click", 1, 9),
    ]
    assert figures_of(counted) == {
        "before": 1.0,
        "hide": 1.0,
        AFTER_CLICKS: 5.0,
        "click": 9.0,
        "before_after_3_clicks": 5.0,
        "users_worse": {"hide": 1, AFTER_CLICKS: 0, "click": 1},
    }


def test_rejections_bring_less_and_clicks_more() -> None:
    """Through the product's own folds and funnel; the last line is JSON."""
    small = ["--no-model", "--newcomers", "4", "--users", "60", "--items", "100", "--days", "2"]
    result = CliRunner().invoke(main, small)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    found = figures["no_model"]
    assert found["before"] > 0.5
    for kind in ("hide", "dislike", "report"):
        assert found[kind] <= found["before"] / 2
        assert found["users_worse"][kind] == 0
    assert found["hide_after_3_clicks"] <= found["before_after_3_clicks"] / 2
    assert found["click"] > found["before"]
    assert (figures["newcomers"], figures["events"], figures["length"]) == (4, 6, 20)
