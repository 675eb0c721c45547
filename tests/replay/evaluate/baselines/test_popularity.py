"""The same list for everyone."""

from collections.abc import Callable

import numpy as np
import pytest

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.popularity import AnyOrder, Chance, Popular
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
