"""Records survive packing, and state of another layout is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.state.records import (
    HISTORY_LENGTH,
    ITEM_DTYPE,
    USER_DTYPE,
    history_newest_first,
    pack_items,
    pack_users,
    segment_of,
    unpack_items,
    unpack_users,
)


@given(st.lists(st.integers(0, 120), max_size=8), st.integers(0, 2**32))
def test_users_survive_packing(interactions: list[int], seed: int) -> None:
    """Everything up to the last used slot of the history comes back."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (len(interactions), USER_DTYPE.itemsize), np.uint8)
    users = noise.view(USER_DTYPE).reshape(-1).copy()
    users["layout"] = 1
    users["interactions"] = interactions
    for user in users:
        user["history"][min(int(user["interactions"]), HISTORY_LENGTH) :] = 0
    assert unpack_users(pack_users(users)).tobytes() == users.tobytes()


def test_a_new_user_is_small_and_empty() -> None:
    """None unpacks to zeros, and packs to a record without a history."""
    users = unpack_users([None])
    assert users["applied"].tolist() == [0]
    assert len(pack_users(users)[0]) < USER_DTYPE.itemsize / 1.5


def test_items_survive_packing() -> None:
    """Whole records come back, also none."""
    assert len(unpack_items([])) == 0
    items = unpack_items([None, None])
    items["clicks"][1, 2] = 7
    again = unpack_items(pack_items(items))
    assert again.dtype == ITEM_DTYPE
    assert again["clicks"].tolist() == items["clicks"].tolist()


def test_another_layout_is_refused() -> None:
    """State of another version is never read as if it were ours."""
    users = unpack_users([None])
    users["layout"] = 9
    with pytest.raises(ValueError, match="layout"):
        unpack_users(pack_users(users))


def test_history_is_read_newest_first() -> None:
    """Also when the ring has gone round."""
    user = unpack_users([None])[0]
    assert len(history_newest_first(user)) == 0
    for number in range(HISTORY_LENGTH + 3):
        user["history"]["item"][number % HISTORY_LENGTH] = number
        user["interactions"] = number + 1
    found = history_newest_first(user)["item"].tolist()
    assert found == list(range(HISTORY_LENGTH + 2, 2, -1))


def test_segments_grow_with_experience() -> None:
    """The edges belong to the upper segment."""
    assert segment_of(np.array([0, 1, 4, 5, 19, 20, 10**6])).tolist() == [0, 1, 1, 2, 2, 3, 3]
