"""The seen filter never forgets early, and folds the same in any batches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.seen import GENERATION_ITEMS, add_items, contains


def fold(hashes: list[int], parts: int = 1) -> np.ndarray:
    """One user's filter after these items, added in `parts` calls."""
    seen, count = np.zeros((1, 2, 64), np.uint8), 0
    for part in np.array_split(np.array(hashes, np.uint32), parts):
        number = count + np.arange(len(part))
        user = np.zeros(len(part), np.int64)
        seen = add_items(seen, np.array([count]), user, number, part)
        count += len(part)
    return seen


@given(st.lists(st.integers(0, 2**32 - 1), max_size=400), st.integers(1, 7))
def test_the_parts_do_not_matter(hashes: list[int], parts: int) -> None:
    """One call or many give the same bits, also across generations."""
    np.testing.assert_array_equal(fold(hashes), fold(hashes, parts))


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=400))
def test_the_last_items_are_always_known(hashes: list[int]) -> None:
    """No false negative among the last `GENERATION_ITEMS`."""
    recent = np.array(hashes[-GENERATION_ITEMS:], np.uint32)
    assert contains(fold(hashes)[0], recent).all()


def test_an_empty_filter_contains_nothing() -> None:
    """A new user has seen nothing."""
    assert not contains(np.zeros((2, 64), np.uint8), np.arange(100, dtype=np.uint32)).any()


def test_few_unseen_items_are_taken_for_seen() -> None:
    """Both generations full: below 7 % of 20,000 others (expected 4.8 %, 5 sigma is 0.8 %)."""
    rng = np.random.default_rng(1)
    hashes = rng.choice(2**32, 128 + 20_000, replace=False).astype(np.uint32)
    assert contains(fold(hashes[:128].tolist())[0], hashes[128:]).mean() < 0.07


def test_users_do_not_mix() -> None:
    """What one user saw, another did not."""
    seen = add_items(
        np.zeros((2, 2, 64), np.uint8),
        np.zeros(2, np.int64),
        np.array([1]),
        np.array([0]),
        np.array([42], np.uint32),
    )
    assert contains(seen[1], np.array([42], np.uint32)).tolist() == [True]
    assert contains(seen[0], np.array([42], np.uint32)).tolist() == [False]
