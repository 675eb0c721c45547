"""The same list for everyone."""

from collections.abc import Callable

import numpy as np
import pytest

from freshet.core.events.schema import IMPRESSION
from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.popularity import (
    AnyOrder,
    Chance,
    ClickedOfShown,
    Newest,
    Popular,
    ShownLately,
)
from replay.evaluate.request import Request

VISITS = [("u1", "x", 0), ("u2", "x", 1), ("u3", "x", 2), ("u4", "y", 3), ("u5", "y", 4)]


@pytest.mark.parametrize(
    ("window", "end", "expected"),
    [(None, 0, ""), (None, 5, "xy"), (2, 5, "y"), (3, 5, "yx"), (3, 1, "x"), (10, 5, "xy")],
)
def test_popular_counts_the_visits_of_its_window(
    make_log: Callable[..., TrainingLog],
    request_at: Callable[..., Request],
    window: int | None,
    end: int,
    expected: str,
) -> None:
    """In one step or in many."""
    numbering = Numbering(make_log([*VISITS, ("me", "?", 5)]))
    request = numbering.request(request_at(make_log([*VISITS, ("me", "?", 5)]), 5))
    at_once, in_steps = (Popular(numbering.log, window) for _ in range(2))
    at_once.learn(end)
    for step in range(end + 1):
        in_steps.learn(step)
    for popular in (at_once, in_steps):
        rows = popular.ranked(request, 3)
        assert "".join(numbering.log.items[row].item_id for row in rows) == expected


def test_chance_draws_evenly_and_the_same_for_the_same_request(
    random_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """Each of 2,000 requests draws 3 of n; a count outside 6 deviations is one in 10^8."""
    log = random_log(2)
    requests = [request_at(log, 399)] * 2_000
    chance = Chance(seed=1)
    offered = np.flatnonzero(requests[0].offered)
    first, again = chance.ranked(requests[0], 3), chance.ranked(requests[0], 3)
    assert first.tolist() == again.tolist()
    counts = np.zeros(len(log.items))
    for seed, request in enumerate(requests):
        counts[Chance(seed).ranked(request, 3)] += 1
    share = 3 / len(offered)
    deviation = np.sqrt(len(requests) * share * (1 - share))
    assert np.abs(counts[offered] - len(requests) * share).max() < 6 * deviation
    assert counts.sum() == counts[offered].sum()


def test_any_order_is_that_of_the_rows(
    random_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """Of those on offer."""
    request = request_at(random_log(2), 399)
    assert AnyOrder().ranked(request, 4).tolist() == np.flatnonzero(request.offered)[:4].tolist()


def test_what_is_shown_lately_may_be_what_is_visited_next(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """A front page that changes: each item is shown for an hour, and clicked on in that hour."""
    hours = 12
    rows = [
        (f"u{hour}-{reader}", f"page{hour}", 3_600 * hour + 60 * reader + after)
        for hour in range(hours)
        for reader in range(9)
        for after in (0, 5)
    ]
    log = make_log([*rows, ("me", "page11", 3_600 * hours - 1)])
    log.kind[: len(rows) : 2] = IMPRESSION
    numbering = Numbering(log)
    shown = Ranked("shown", numbering, ShownLately(numbering.log, 10))
    popular = Ranked("popular", numbering, Popular(numbering.log))
    hits = {"shown": 0, "popular": 0}
    for hour in range(1, hours):
        event = 18 * hour + 13  # the seventh reader clicks
        for contestant in (shown, popular):
            first = listed(log, contestant, event)[0]
            hits[contestant.name] += first == f"page{hour}"
    assert hits["shown"] == hours - 1
    assert hits["popular"] == 0


def test_a_click_rate_is_not_a_count(
    make_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """Of a hundred impressions of each, "seldom" is clicked on less often than "often"."""
    rows = [(f"u{n}", item, n) for n in range(100) for item in ("much", "good")]
    rows += [(f"v{n}", "much", 200 + n) for n in range(300)]
    shown = len(rows)
    rows += [(f"u{n}", "much", 600 + n) for n in range(60)]
    rows += [(f"u{n}", "good", 600 + n) for n in range(50)]
    log = make_log([*rows, ("me", "?", 900)])
    log.kind[:shown] = IMPRESSION
    numbering = Numbering(log)
    request = numbering.request(request_at(log, len(rows)))
    found = {}
    for name, ranking in (
        ("rate", ClickedOfShown(numbering.log)),
        ("lately", ClickedOfShown(numbering.log, 400)),
        ("count", Popular(numbering.log)),
    ):
        ranking.learn(len(rows))
        best = ranking.ranked(request, 2)
        found[name] = [numbering.log.items[row].item_id for row in best]
    assert found == {
        "rate": ["good", "much"],
        "lately": ["good", "much"],
        "count": ["much", "good"],
    }


def test_the_newest_item_comes_first(
    make_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """By what exists: of the future it knows nothing."""
    numbering = Numbering(make_log([*VISITS, ("me", "z", 5), ("me", "?", 6)]))
    request = numbering.request(request_at(make_log([*VISITS, ("me", "z", 5), ("me", "?", 6)]), 5))
    rows = Newest(numbering.log).ranked(request, 3)
    assert [numbering.log.items[row].item_id for row in rows] == ["y", "x"]
