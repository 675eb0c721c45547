"""Small logs, and requests in the middle of them."""

from collections.abc import Callable

import numpy as np
import pytest

from freshet.core.events.schema import Event, Item
from online_models.training.histories import Histories
from online_models.training.log import LEAST_TARGETS, TrainingLog, build_log
from replay.evaluate.request import Contestant, Request

START_MS = 1_760_054_400_000  # midnight, UTC
AFTER_ALL_S = 10**7

Row = tuple[str, str, float]
"""User, item, seconds."""


def _make_log(rows: list[Row], items: list[Item] | None = None, kind: str = "click") -> TrainingLog:
    """Build a log of visits; those of nobody, long after the others, make it long enough."""
    rows = rows + [(f"nobody{n}", "padding", AFTER_ALL_S + n) for n in range(LEAST_TARGETS)]
    events = [
        Event(
            event_id=f"e{number}",
            user_id=user,
            type=kind,  # type: ignore[arg-type]
            item_id=item,
            ts_ms=START_MS + int(1000 * second),
        )
        for number, (user, item, second) in enumerate(rows)
    ]
    return build_log(events, items or [])


def _random_log(seed: int, *, users: int = 12, items: int = 40, events: int = 400) -> TrainingLog:
    """Build a log of visits over ten days, with ties in time."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, 240, events)) * 3_600
    drawn = np.minimum(rng.geometric(0.08, events), items)
    return _make_log(
        [
            (f"u{rng.integers(users)}", f"i{item}", float(second))
            for item, second in zip(drawn, seconds, strict=True)
        ]
    )


def _request(log: TrainingLog, event: int) -> Request:
    """Return the question that an event answers, as the judge asks it."""
    histories = Histories(log)
    batch = histories.before(np.array([event]))
    mask, asked_at = batch.mask[0], int(histories.asked_at[event])
    offered = histories.available(event)
    offered[batch.items[0][mask]] = False
    return Request(
        event=event,
        asked_at=asked_at,
        user=int(log.user[event]),
        now_ms=int(log.ts_ms[asked_at - 1]),
        items=batch.items[0][mask],
        types=batch.types[0][mask],
        ages_s=batch.ages_s[0][mask],
        offered=offered,
    )


def _listed(log: TrainingLog, contestant: Contestant, event: int) -> list[str]:
    """Return the item ids that a contestant lists for the question that an event answers."""
    request = _request(log, event)
    contestant.learn(request.asked_at)
    return [log.items[row].item_id for row in contestant.recommend(request)]


@pytest.fixture(scope="session")
def make_log() -> Callable[..., TrainingLog]:
    """`make_log([(user, item, seconds), ...], items=None, kind="click")`."""
    return _make_log


@pytest.fixture(scope="session")
def random_log() -> Callable[..., TrainingLog]:
    """`random_log(seed, users=12, items=40, events=400)`."""
    return _random_log


@pytest.fixture(scope="session")
def request_at() -> Callable[[TrainingLog, int], Request]:
    """`request_at(log, event)`."""
    return _request


@pytest.fixture(scope="session")
def listed() -> Callable[[TrainingLog, Contestant, int], list[str]]:
    """`listed(log, contestant, event)` lets it learn what came before, and asks."""
    return _listed
