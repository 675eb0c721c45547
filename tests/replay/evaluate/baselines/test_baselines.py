"""What holds for every opponent, whatever it knows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import IMPRESSION, Item
from online_models.training.log import TrainingLog
from replay.evaluate.baselines import baselines
from replay.evaluate.request import LIST_LENGTH, Contestant, Request

NAMES = [
    "random",
    "popular",
    "recent-popular-500",
    "recent-popular-2000",
    "recent-popular-10000",
    "newest",
    "category-popular",
    "own-past",
    "transitions",
    "covisitation",
    "session-knn",
    "fusion",
    "fusion+popular",
    "fusion+past",
    "item-knn",
    "ials",
    "ease",
]
OF_SHOWN = [
    "shown-lately-2000",
    "shown-lately-20000",
    "click-rate",
    "click-rate-lately",
    "fusion+shown",
]
HIDING = [f"{name}, all seen hidden" for name in NAMES if name not in {"random", "own-past",
          "fusion+past"}]  # fmt: skip
EVENTS = 400
RETRAIN_VISITS = 50

seeds = st.integers(0, 2**32)


def ask(contestants: list[Contestant], request: Request) -> dict[str, list[int]]:
    for contestant in contestants:
        contestant.learn(request.asked_at)
    return {each.name: each.recommend(request).tolist() for each in contestants}


def test_all_are_there(random_log: Callable[..., TrainingLog]) -> None:
    """Each under a name of its own; those that ask for impressions only where there are some."""
    log = random_log(0)
    assert [each.name for each in baselines(log)] == [*NAMES, *HIDING]
    log.kind[::2] = IMPRESSION
    names = {each.name for each in baselines(log)}
    assert names - {*NAMES, *HIDING} == {
        *OF_SHOWN,
        *(f"{name}, all seen hidden" for name in OF_SHOWN),
    }


@settings(max_examples=5, deadline=None)
@given(seeds, st.integers(1, EVENTS - 1))
def test_lists_are_of_distinct_items_on_offer(
    random_log: Callable[..., TrainingLog],
    request_at: Callable[..., Request],
    seed: int,
    event: int,
) -> None:
    """As long as the offer allows."""
    log = random_log(seed)
    request = request_at(log, event)
    for name, rows in ask(baselines(log, retrain_visits=RETRAIN_VISITS), request).items():
        assert len(rows) == min(LIST_LENGTH, request.offered.sum()), name
        assert len(set(rows)) == len(rows), name
        assert request.offered[rows].all(), name


@settings(max_examples=5, deadline=None)
@given(seeds, st.lists(st.integers(1, EVENTS - 1), min_size=1, max_size=6))
def test_learning_in_steps_is_learning_at_once(
    random_log: Callable[..., TrainingLog],
    request_at: Callable[..., Request],
    seed: int,
    stops: list[int],
) -> None:
    """Also when it is told to learn the same twice."""
    log = random_log(seed)
    *steps, last = sorted(stops)
    patient = baselines(log, retrain_visits=RETRAIN_VISITS)
    for stop in steps:
        ask(patient, request_at(log, stop))
    request = request_at(log, last)
    ask(patient, request)
    assert ask(patient, request) == ask(baselines(log, retrain_visits=RETRAIN_VISITS), request)


@settings(max_examples=5, deadline=None)
@given(seeds, st.integers(1, EVENTS - 1))
def test_the_future_is_not_known(
    random_log: Callable[..., TrainingLog],
    request_at: Callable[..., Request],
    seed: int,
    event: int,
) -> None:
    """Whatever happens from the event on, and whenever."""
    log = random_log(seed)
    request = request_at(log, event)
    order = np.arange(len(log))
    order[event:] = np.random.default_rng(seed).permutation(order[event:])
    later = np.where(np.arange(len(log)) < event, 0, 40 * 86_400_000)
    other = replace(
        log,
        user=log.user[order],
        item=log.item[order],
        kind=log.kind[order],
        ts_ms=log.ts_ms + later,
    )
    expected = ask(baselines(log, retrain_visits=RETRAIN_VISITS), request)
    assert ask(baselines(other, retrain_visits=RETRAIN_VISITS), request) == expected


@settings(max_examples=5, deadline=None)
@given(seeds, st.integers(1, EVENTS - 1))
def test_the_order_of_the_catalogue_is_not_known(
    random_log: Callable[..., TrainingLog],
    request_at: Callable[..., Request],
    seed: int,
    event: int,
) -> None:
    """The same items in another order are listed alike."""
    log = random_log(seed)
    original = np.random.default_rng(seed).permutation(len(log.items))
    other = replace(
        log,
        items=[log.items[row] for row in original],
        hashes=log.hashes[original],
        created_ts_ms=log.created_ts_ms[original],
        item=np.argsort(original)[log.item],
    )
    expected = ask(baselines(log, retrain_visits=RETRAIN_VISITS), request_at(log, event))
    found = ask(baselines(other, retrain_visits=RETRAIN_VISITS), request_at(other, event))
    assert {name: original[rows].tolist() for name, rows in found.items()} == expected


@pytest.mark.parametrize("name", NAMES[1:])
def test_equally_popular_items_are_the_newest_visited_first(
    name: str, make_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """Each of thirty items was visited once, by someone of whom nothing else is known."""
    log = make_log([(f"u{number}", f"i{number}", number) for number in range(31)])
    request = request_at(log, 30)
    contestant = next(each for each in baselines(log) if each.name == name)
    contestant.learn(30)
    assert contestant.recommend(request).tolist() == log.item[:30][::-1][:LIST_LENGTH].tolist()


def test_what_is_not_known_is_filled_up_by_popularity(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """First what followed, then what is popular, then the rest, which nobody has visited."""
    visits = [("a", "x", 0), ("a", "followed", 1), *((f"c{n}", "popular", 2) for n in range(3))]
    items = [Item(item_id=f"never{n}", created_ts_ms=1_500_000_000_000) for n in range(20)]
    log = make_log([*visits, ("b", "x", 3), ("b", "?", 4)], items)
    contestant = next(each for each in baselines(log) if each.name == "transitions")
    never = [items[row].item_id for row in np.argsort(log.hashes[: len(items)])]
    assert listed(log, contestant, 6) == ["followed", "popular", *never[: LIST_LENGTH - 2]]
