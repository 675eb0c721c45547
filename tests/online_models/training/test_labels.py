"""Labels: what the user did with the target, soon enough after it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from freshet.core.events.examples import MOST_DWELL_S
from freshet.core.events.schema import EVENT_TYPES, REJECTION, Event
from online_models.tasks import CONVERSION, DWELL_S
from online_models.training.labels import NEVER, followed_at
from online_models.training.log import TrainingLog, build_log

START_MS = 1_760_000_000_000
Row = tuple[str, str, str, float, float | None]


def log_of(*rows: Row) -> TrainingLog:
    """A log of (user, type, item, seconds, value), made long enough by clicks of nobody."""
    padding = [("nobody", "click", "padding", 10.0**6 + n, None) for n in range(200)]
    return build_log(
        [
            Event(
                event_id=f"e{number}", user_id=user, type=kind,  # type: ignore[arg-type]
                item_id=item, ts_ms=START_MS + int(1000 * second), value=value,
            )
            for number, (user, kind, item, second, value) in enumerate([*rows, *padding])
        ],
        [],
    )  # fmt: skip


CLICK: Row = ("a", "click", "x", 100.0, None)


def test_nothing_followed() -> None:
    """A click alone; what came before it does not count."""
    log = log_of(("a", "dwell", "x", 90.0, 99.0), ("a", "like", "x", 99.0, None), CLICK)
    assert followed_at(log, 2) == (NEVER, NEVER, NEVER)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("a", "dwell", "x", 140.0, DWELL_S), (1, NEVER, NEVER)),
        (("a", "dwell", "x", 140.0, DWELL_S - 0.1), (NEVER, NEVER, NEVER)),
        (("a", "dwell", "x", 140.0, None), (NEVER, NEVER, NEVER)),
        (("a", "purchase", "x", 140.0, 99.0), (NEVER, 1, NEVER)),
        (("a", "purchase", "x", 100.0, 99.0), (NEVER, 1, NEVER)),
        (("a", "purchase", "x", 1_900.0, 99.0), (NEVER, 1, NEVER)),
        (("a", "purchase", "x", 1_900.1, 99.0), (NEVER, NEVER, NEVER)),
        (("a", "purchase", "y", 140.0, 99.0), (NEVER, NEVER, NEVER)),
        (("b", "purchase", "x", 140.0, 99.0), (NEVER, NEVER, NEVER)),
        (("a", "rating", "x", 140.0, 99.0), (NEVER, NEVER, NEVER)),
        (("a", "rating", "x", 140.0, 1.0), (NEVER, NEVER, 1)),
        (("a", "hide", "x", 140.0, None), (NEVER, NEVER, 1)),
        (("a", "dislike", "x", 140.0, None), (NEVER, NEVER, 1)),
        (("a", "report", "x", 140.0, None), (NEVER, NEVER, 1)),
        (("a", "skip", "x", 140.0, None), (NEVER, NEVER, NEVER)),
        (("b", "hide", "x", 140.0, None), (NEVER, NEVER, NEVER)),
    ],
)
def test_what_counts(row: Row, expected: tuple[int, int, int]) -> None:
    """Of the same user, on the same item, within 30 minutes, and long enough."""
    assert followed_at(log_of(CLICK, row), 0) == expected


def test_dwells_add_up_and_a_purchase_is_its_own_label() -> None:
    """The event that fills the time is named; the target itself counts."""
    parts = [("a", "dwell", "x", 110.0 + n, DWELL_S / 3) for n in range(4)]
    log = log_of(("a", "purchase", "x", 100.0, None), *parts)
    assert followed_at(log, 0) == (3, 0, NEVER)


def test_a_dwell_that_is_none_adds_nothing() -> None:
    """Negative, endless, no number, or the value of another type."""
    values = (-5.0, float("inf"), float("nan"), None)
    log = log_of(*[("a", "dwell", "x", 1.0, value) for value in values], (*CLICK[:4], 50.0))
    assert log.dwell_s[:5].tolist() == [0, MOST_DWELL_S, 0, 0, 0]


def test_labels_are_those_of_the_slow_twin(random_log: Callable[..., TrainingLog]) -> None:
    """Event by event, through ties in time."""
    log = random_log(2)
    rng = np.random.default_rng(0)
    dwelt = log.kind == EVENT_TYPES.index("dwell")
    log.dwell_s[dwelt] = rng.uniform(0, 2 * DWELL_S, dwelt.sum())
    found = set()
    for event in range(len(log)):
        dwell_s, expected = 0.0, [NEVER] * 3
        for later in range(event, len(log)):
            same = log.user[later] == log.user[event] and log.item[later] == log.item[event]
            if not same or log.ts_ms[later] > log.ts_ms[event] + 1_800_000:
                continue
            dwell_s += log.dwell_s[later]
            kind = log.kind[later]
            came = (dwell_s >= DWELL_S, CONVERSION[kind], REJECTION[kind])
            expected = [
                later if now and at == NEVER else at for at, now in zip(expected, came, strict=True)
            ]
        assert followed_at(log, event) == tuple(expected)
        found.add(tuple(at == NEVER for at in expected))
    assert len(found) == 8
