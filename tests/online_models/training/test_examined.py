"""What an example teaches, and when it teaches nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from freshet.core.events.schema import TYPE_CODES
from online_models.features import FEATURES
from online_models.tasks import DWELL_S, TASKS
from online_models.training.examined import MOST_POSITIONS, Rows, examined_slots

from .synthetic_stream import example

N = len(FEATURES)
SHOWN, CLICKED = 1 << TYPE_CODES["impression"], 1 << TYPE_CODES["click"]


def answered(*responses: int, **other: object) -> object:
    """Examined slots of an answer whose slots had these events."""
    n = len(responses)
    features = np.arange(n * N).reshape(n, N).astype(np.float16)
    made = example(0, features, np.zeros(n, np.bool_))
    given = {"responses": np.array(responses, "<u2").tobytes()} | other
    return examined_slots(msgspec.structs.replace(made, **given))


def test_slots_below_the_last_response_are_left_out() -> None:
    """The others are kept in their order, with their clicks."""
    found = answered(SHOWN, SHOWN | CLICKED, 0, SHOWN, 0, 0)
    assert found.labels[:, 0].tolist() == [False, True, False, False]
    assert found.positions.tolist() == [0, 1, 2, 3]
    assert found.features[:, 0].tolist() == [0, N, 2 * N, 3 * N]


@pytest.mark.parametrize(
    "other",
    [
        {"feature_schema": "another"},
        {"features": b""},
        {"features": np.zeros(2 * N + 1, "<f2").tobytes()},
        {"features": np.zeros((3, N), "<f2").tobytes()},
        {"features": np.full((2, N), np.nan, "<f2").tobytes()},
        {"features": np.full((2, N), np.inf, "<f2").tobytes()},
        {"positions": b"\0\0"},
        {"dwell_s": b"\0\0\0\0"},
        {"responses": np.zeros(2, "<u2").tobytes()},
        {"item_ids": []},
    ],
)
def test_what_cannot_be_used_teaches_nothing(other: dict[str, object]) -> None:
    """Another schema, no features, columns that do not fit, nobody who looked."""
    assert answered(SHOWN, SHOWN) is not None
    assert answered(SHOWN, SHOWN, **other) is None


def test_what_follows_counts_on_what_was_clicked() -> None:
    """Long enough a stay, and a like, a cart or a purchase; a rating says no more than a click."""
    bit = {name: 1 << code for name, code in TYPE_CODES.items()}
    clicked = [CLICKED | bit[name] for name in ("like", "cart", "purchase", "rating", "dwell")]
    dwell_s = np.array([0, 0, DWELL_S, DWELL_S - 0.1, DWELL_S + 1, 99, 0], "<f4").tobytes()
    found = answered(*clicked, SHOWN | bit["like"], SHOWN, dwell_s=dwell_s)
    expected = {
        "click": [True] * 5 + [False] * 2,
        "dwell": [False, False, True, False, True, False, False],
        "conversion": [True, True, True, False, False, False, False],
        "negative": [False] * 7,
    }
    assert found.labels.T.tolist() == [expected[task] for task in TASKS]


@pytest.mark.parametrize("kind", ["hide", "dislike", "report"])
def test_a_rejection_is_no_click_and_needs_none(kind: str) -> None:
    """Its slot was looked at; a skip says nothing but that."""
    found = answered(SHOWN, 1 << TYPE_CODES[kind], 1 << TYPE_CODES["skip"], SHOWN * 0)
    assert found.labels.T.tolist() == [[False] * 3] * 3 + [[False, True, False]]


def test_deep_positions_share_the_last() -> None:
    """However long a list is."""
    found = answered(SHOWN, SHOWN, positions=np.array([3, 60_000], "<u2").tobytes())
    assert found.positions.tolist() == [3, MOST_POSITIONS - 1]


def test_rows_of_nothing() -> None:
    """The replay buffer is empty in the beginning."""
    rows = Rows.of([])
    assert rows.features.shape == (0, N)
    assert rows.labels.shape == (0, len(TASKS))
    assert len(rows) == 0
