"""Pages of the past: which are there, in which order they are read."""

import numpy as np
import pytest

from freshet.core.events.schema import CLICK
from freshet.core.state.past import (
    LEFT_OUT,
    PAST_PAGES,
    page_field,
    page_fields,
    past_newest_first,
)
from freshet.core.state.records import HISTORY_LENGTH, unpack_users

KEPT = PAST_PAGES * HISTORY_LENGTH


def pages_of(items: int) -> list[bytes | None]:
    """The pages of a user whose interaction number j was with item j + 1."""
    fields: dict[str, bytes] = {}
    for page in range((items - 1) // HISTORY_LENGTH if items else 0):
        first = page * HISTORY_LENGTH
        fields[page_field("ann", page)] = (
            1 + np.arange(first, first + HISTORY_LENGTH, dtype="<u4")
        ).tobytes()
    return [fields.get(name) for name in page_fields("ann")]


def past_of(items: int, pages: list[bytes | None]) -> list[int]:
    user = unpack_users([None])
    user["type_counts"][0, CLICK] = items
    return (past_newest_first(user[0], pages).astype(int) - 1).tolist()


@pytest.mark.parametrize(("items", "written"), [(0, 0), (50, 0), (51, 50), (100, 50), (101, 100)])
def test_a_page_is_there_once_the_history_is_written_over(items: int, written: int) -> None:
    """And not before: who has no more than a history has no past."""
    assert past_of(items, pages_of(items)) == list(range(written))[::-1]


@pytest.mark.parametrize("items", [KEPT, KEPT + 1, KEPT + 51, 3 * KEPT + 777])
def test_the_newest_pages_are_kept(items: int) -> None:
    """In their order, wherever the newest one stands."""
    written = (items - 1) // HISTORY_LENGTH * HISTORY_LENGTH
    expected = list(range(max(written - KEPT, 0), written))[::-1]
    assert past_of(items, pages_of(items)) == expected


def test_a_page_that_is_missing_is_left_out() -> None:
    """State of a version that kept no past has none of its pages."""
    pages = pages_of(180)
    pages[1] = None
    assert past_of(180, pages) == [*range(149, 99, -1), *range(49, -1, -1)]
    assert past_of(180, []) == []


def test_two_users_never_share_a_field() -> None:
    """Whatever their names."""
    assert not set(page_fields("1:ann")) & set(page_fields("ann"))


def test_what_was_rejected_or_skipped_is_not_in_the_past() -> None:
    """A page holds `LEFT_OUT` in its place, and the reader drops it."""
    page = np.full(HISTORY_LENGTH, LEFT_OUT, "<u4")
    page[[3, 7]] = 5, 6
    user = unpack_users([None])
    user["type_counts"][0, CLICK] = HISTORY_LENGTH + 1
    assert past_newest_first(user[0], [page.tobytes()]).tolist() == [6, 5]
