"""A query is the last distinct items that were visited."""

import numpy as np

from freshet.core.events.schema import TYPE_CODES
from replay.evaluate.baselines.query import DECAY, last_visited
from replay.evaluate.request import Request


def ask(history: list[tuple[int, str]], most: int) -> tuple[list[int], list[float]]:
    request = Request(
        event=9,
        asked_at=9,
        user=0,
        now_ms=0,
        items=np.array([item for item, _ in history], np.int64),
        types=np.array([TYPE_CODES[kind] for _, kind in history], np.int64),
        ages_s=np.zeros(len(history), np.float32),
        offered=np.ones(9, np.bool_),
    )
    rows, weights = last_visited(request, most)
    return rows.tolist(), weights.tolist()


def test_without_history_there_is_no_query() -> None:
    assert ask([], 5) == ([], [])


def test_repetitions_and_what_is_no_visit_are_left_out() -> None:
    """A dislike says nothing about where to go next."""
    history = [(4, "click"), (7, "dislike"), (4, "view"), (2, "purchase"), (1, "rating")]
    assert ask(history, 5) == ([4, 2, 1], [1.0, DECAY, DECAY**2])


def test_the_newest_are_taken() -> None:
    assert ask([(5, "click"), (6, "click"), (5, "click")], 1) == ([5], [1.0])
