"""Records survive packing, and state of another layout is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.codec import EVENT_HASH_BITS
from freshet.core.events.schema import CLICK, LATEST_TS_MS
from freshet.core.state import records
from freshet.core.state.records import (
    GAPS_S,
    HISTORY_LENGTH,
    ITEM_DTYPE,
    LATE,
    OLDER_KEPT,
    USER_DTYPE,
    history_newest_first,
    segment_of,
    unpack_items,
    unpack_users,
)
from streams.user_packing import pack_users


@given(
    st.lists(st.integers(0, 300), max_size=8),
    st.sampled_from([1, 5, 256, 300, 2**32 - 1]),
    st.integers(0, 2**32),
)
def test_users_survive_packing(interactions: list[int], counts: int, seed: int) -> None:
    """Everything up to the last used slot of the history comes back, wide counters too."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (len(interactions), USER_DTYPE.itemsize), np.uint8)
    users = noise.view(USER_DTYPE).reshape(-1).copy()
    users["recent_events"] >>= np.uint64(64 - EVENT_HASH_BITS)
    users["type_counts"] %= np.uint32(counts)
    users["type_counts"][:, CLICK] = interactions
    used = np.minimum(records.interactions(users), HISTORY_LENGTH)
    users["history"][np.arange(HISTORY_LENGTH) >= used[:, None]] = 0
    users["older"][np.arange(OLDER_KEPT) >= users["n_older"][:, None]] = 0
    users["erased_ts_ms"] = users["partition"] = users["dirty"] = 0  # in memory only
    users["model_tag"] >>= np.uint32(8)
    users["last_ts_ms"] %= LATEST_TS_MS
    assert unpack_users(pack_users(users).values()).tobytes() == users.tobytes()


def test_a_new_user_is_small_and_empty() -> None:
    """None unpacks to zeros, and packs to a record without a history."""
    users = unpack_users([None])
    assert records.applied_events(users).tolist() == [0]
    assert len(pack_users(users).joined) < USER_DTYPE.itemsize / 3


def test_items_survive_packing() -> None:
    """Whole records come back, also none."""
    assert len(unpack_items([])) == 0
    items = unpack_items([None, None])
    items["clicks"][1, 2] = 7
    again = unpack_items([each.tobytes() for each in items])
    assert again.dtype == ITEM_DTYPE
    assert again["clicks"].tolist() == items["clicks"].tolist()


def test_another_layout_is_refused() -> None:
    """State of another version is never read as if it were ours."""
    blob = pack_users(unpack_users([None])).joined
    with pytest.raises(ValueError, match="layout"):
        unpack_users([b"\x01" + blob[1:]])
    items = unpack_items([None])
    items["layout"] = 1
    with pytest.raises(ValueError, match="layout"):
        unpack_items([each.tobytes() for each in items])


def test_history_is_read_newest_first() -> None:
    """Also when the ring has gone round."""
    user = unpack_users([None])[0]
    assert len(history_newest_first(user)) == 0
    for number in range(HISTORY_LENGTH + 3):
        user["history"][number % HISTORY_LENGTH] = (number, CLICK << 12 | 10)
        user["type_counts"][CLICK] = number + 1
    user["history_ts_s"] = 10_000
    found = history_newest_first(user)
    assert found["item"].tolist() == list(range(HISTORY_LENGTH + 2, 2, -1))
    assert found["ts_s"].tolist() == [10_000 - 10 * back for back in range(HISTORY_LENGTH)]
    assert set(found["type"].tolist()) == {CLICK}


def test_gaps_are_exact_up_to_255_seconds_and_then_grow_with_their_codes() -> None:
    """Up to all that 32 bits can tell."""
    assert GAPS_S[:256].tolist() == list(range(256))
    assert (np.diff(GAPS_S[:LATE]) > 0).all()
    assert GAPS_S[LATE - 1] > 2**32
    assert GAPS_S[LATE] == 0


def test_segments_grow_with_experience() -> None:
    """The edges belong to the upper segment."""
    assert segment_of(np.array([0, 1, 4, 5, 19, 20, 10**6])).tolist() == [0, 1, 1, 2, 2, 3, 3]
