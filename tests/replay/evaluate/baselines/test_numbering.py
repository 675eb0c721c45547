"""Items are numbered by their hashes, and scores sorted so that equals stay in this order."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.numbering import Numbering, best
from replay.evaluate.request import Request


def test_the_log_is_the_same_with_its_items_renumbered(
    random_log: Callable[..., TrainingLog],
) -> None:
    """Event by event, in ascending hashes."""
    log = random_log(3)
    own = Numbering(log).log
    assert np.all(np.diff(own.hashes.astype(np.int64)) >= 0)
    assert [own.items[row] for row in own.item] == [log.items[row] for row in log.item]
    assert own.hashes[own.item].tolist() == log.hashes[log.item].tolist()


def test_equal_hashes_are_told_apart_by_the_id(make_log: Callable[..., TrainingLog]) -> None:
    """Not by the order of the catalogue."""
    log = make_log([("a", "z", 0), ("a", "y", 1)])
    own = Numbering(replace(log, hashes=np.zeros_like(log.hashes))).log
    assert [item.item_id for item in own.items] == ["padding", "y", "z"]


def test_a_request_is_renumbered_and_back(
    random_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """History and offer."""
    log = random_log(4)
    numbering, request = Numbering(log), request_at(log, 300)
    own = numbering.request(request)
    assert numbering.original[own.items].tolist() == request.items.tolist()
    assert set(numbering.original[own.offered]) == set(np.flatnonzero(request.offered))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1), st.integers(0, 9))
def test_best_is_that_of_a_stable_sort(table: list[tuple[int, bool]], k: int) -> None:
    """Of what is allowed."""
    rows = [row for row, (_, allowed) in enumerate(table) if allowed]
    expected = sorted(rows, key=lambda row: -table[row][0])[:k]
    scores, allowed = (np.array(column) for column in zip(*table, strict=True))
    assert best(scores.astype(float), allowed, k).tolist() == expected
