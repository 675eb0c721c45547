"""What was rejected is read back, and ends when it should."""

import numpy as np

from freshet.core.events.schema import TYPE_CODES
from freshet.core.state.unwanted import UNWANTED_DTYPE, unexpired, unpack_unwanted

HIDE = TYPE_CODES["hide"]


def test_nothing_was_rejected_by_most() -> None:
    """No field, and an empty one."""
    assert unpack_unwanted(None).dtype == UNWANTED_DTYPE
    assert len(unpack_unwanted(None)) == len(unpack_unwanted(b"")) == 0


def test_a_row_ends_after_its_time() -> None:
    """At the very second; with 0 never."""
    rows = np.array([(1, 1000, HIDE), (2, 900, HIDE)], UNWANTED_DTYPE)
    assert unpack_unwanted(rows.tobytes()).tolist() == rows.tolist()
    assert unexpired(rows, 999, 100)["item"].tolist() == [1, 2]
    assert unexpired(rows, 1000, 100)["item"].tolist() == [1]
    assert unexpired(rows, 1100, 100)["item"].tolist() == []
    assert unexpired(rows, 2**40, 0)["item"].tolist() == [1, 2]


def test_times_of_the_last_seconds_of_the_layout_do_not_wrap() -> None:
    """A time near 2**32 plus a lifetime is not a time of 1970."""
    rows = np.array([(1, 2**32 - 1, HIDE)], UNWANTED_DTYPE)
    assert len(unexpired(rows, 2**32, 100)) == 1
