"""How many rows are out of order: against every subset, on small logs."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.recorded.order import TimeOrder, are_many


def _order(times: list[int], users: str = "") -> TimeOrder:
    order = TimeOrder()
    for line, ts_ms in enumerate(times, 1):
        order.add(line, users[line - 1] if users else "u", ts_ms)
    return order


@pytest.mark.parametrize(
    ("times", "moved", "first_line"),
    [
        ([], 0, 0),
        ([5], 0, 0),
        ([5, 5, 5], 0, 0),
        ([3, 2, 1], 2, 2),
        ([1, 9, 2, 3, 4], 1, 3),
        ([1, 2, 3, 1], 1, 4),
        ([4, 5, 6, 1, 2, 3], 3, 4),
    ],
)
def test_the_fewest_rows_that_would_have_to_move_are_counted(
    times: list[int], moved: int, first_line: int
) -> None:
    """A clock that was ahead once is one row, two files in the wrong order are half."""
    order = _order(times)
    assert (order.moved, order.first_line) == (moved, first_line)
    assert order.newest_ms == max(times, default=0)


@given(st.lists(st.integers(1, 6), max_size=8))
def test_it_is_what_the_longest_sorted_subset_leaves(times: list[int]) -> None:
    """The slow way: try them all."""
    longest = max(
        size
        for size in range(len(times) + 1)
        for kept in combinations(times, size)
        if all(a <= b for a, b in pairwise(kept))
    )
    assert _order(times).moved == len(times) - longest


def test_users_are_looked_at_apart() -> None:
    """A late row of somebody else is behind nobody."""
    assert _order([5, 3, 6, 4], "abab").of_user == 0
    assert _order([5, 3, 4, 9], "aaba").of_user == 1


def test_few_are_real_life() -> None:
    """Up to a hundredth, or one of ten."""
    assert [are_many(wrong, 1000) for wrong in (0, 10, 11)] == [False, False, True]
    assert [are_many(1, rows) for rows in (2, 9, 10)] == [True, True, False]
