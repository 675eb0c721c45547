"""Small logs: one written by hand, one that anybody can foresee."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from freshet.core.events.schema import Event, Item
from online_models.training.log import TrainingLog, build_log

START_MS = 1_760_000_000_000


def _make_log(
    rows: list[tuple[str, str, str, int]], items: list[Item] | None = None
) -> TrainingLog:
    """Build a log from (user, type, item, seconds); clicks of nobody make it long enough."""
    events = [
        Event(
            event_id=f"e{number}",
            user_id=user,
            type=kind,  # type: ignore[arg-type]
            item_id=item,
            ts_ms=START_MS + 1000 * second,
        )
        for number, (user, kind, item, second) in enumerate(rows)
    ]
    padding = [
        Event(
            event_id=f"p{number}",
            user_id=f"padding{number}",
            type="click",
            item_id="padding",
            ts_ms=START_MS + 10**9 + number,
        )
        for number in range(200)
    ]
    return build_log(events + padding, items or [])


def _random_log(seed: int, *, users: int = 12, items: int = 15, events: int = 400) -> TrainingLog:
    """Build a log of random events of all types, with ties in time."""
    rng = np.random.default_rng(seed)
    kinds = ["impression", "click", "view", "dwell", "like", "hide", "purchase", "rating"]
    seconds = np.sort(rng.integers(0, 5_000, events))
    return _make_log(
        [
            (
                f"u{rng.integers(users)}",
                str(rng.choice(kinds)),
                f"i{rng.integers(items)}",
                int(second),
            )
            for second in seconds
        ],
        [Item(item_id=f"i{number}", categories=[f"c{number % 3}"]) for number in range(items)],
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two threads that wait for each other are many times slower where others compute too."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_log() -> Callable[..., TrainingLog]:
    """`make_log([(user, type, item, seconds), ...], items=None)`."""
    return _make_log


@pytest.fixture(scope="session")
def random_log() -> Callable[..., TrainingLog]:
    """`random_log(seed, users=12, items=15, events=400)`."""
    return _random_log


@pytest.fixture(scope="session")
def cycle() -> tuple[list[Event], list[Item]]:
    """People who walk round a ring of 30 items, each from a place of their own; 6,000 clicks."""
    rng = np.random.default_rng(4)
    events = []
    for user in range(500):
        place, start_s = int(rng.integers(30)), int(rng.integers(0, 5 * 86_400))
        for step in range(12):
            events.append(
                Event(
                    event_id=f"{user}-{step}",
                    user_id=f"u{user}",
                    type="click",
                    item_id=f"i{(place + step) % 30:02}",
                    ts_ms=START_MS + 1000 * (start_s + 40 * step),
                )
            )
    items = [
        Item(item_id=f"i{number:02}", title=f"Stop {number}", categories=[f"line {number // 10}"])
        for number in range(30)
    ]
    return events, items
