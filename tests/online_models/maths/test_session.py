"""The session embedding is a decayed mean, to the last bit the same in any batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.session import session_embedding


def embed_one_by_one(
    vectors: np.ndarray, weights: np.ndarray, ages_s: np.ndarray, half_life_s: float
) -> np.ndarray:
    """The slow twin, in double precision."""
    rows = []
    for user in range(len(vectors)):
        total = sum(
            float(w) * 2 ** (-float(a) / half_life_s) * v.astype(float)
            for v, w, a in zip(vectors[user], weights[user], ages_s[user], strict=True)
        )
        norm = np.linalg.norm(total)
        rows.append(total / norm if norm > 1e-6 else 0 * total)
    return np.array(rows)


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32))
def test_it_is_what_the_slow_twin_says(n: int, k: int, seed: int) -> None:
    """And it does not depend on who else is in the batch."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, k, 16)).astype(np.float32)
    weights = rng.choice([-1, 0, 0.5, 1, 3], size=(n, k)).astype(np.float32)
    ages_s = rng.integers(0, 5000, (n, k))
    together = session_embedding(vectors, weights, ages_s, 600)
    np.testing.assert_allclose(together, embed_one_by_one(vectors, weights, ages_s, 600), atol=2e-4)
    alone = [
        session_embedding(vectors[i : i + 1], weights[i : i + 1], ages_s[i : i + 1], 600)[0]
        for i in range(n)
    ]
    assert together.tobytes() == np.array(alone, np.float32).tobytes()


def test_nothing_known_is_zero() -> None:
    """No direction is claimed where there is none, and nothing is NaN."""
    zeros = session_embedding(
        np.zeros((1, 3, 4), np.float32), np.ones((1, 3), np.float32), np.zeros((1, 3)), 60
    )
    assert zeros.tolist() == [[0, 0, 0, 0]]


def test_a_dislike_pushes_away() -> None:
    """A negative weight turns the direction round."""
    vectors = np.array([[[1, 0]]], np.float32)
    away = session_embedding(vectors, np.array([[-1]], np.float32), np.zeros((1, 1)), 60)
    assert away[0, 0] == pytest.approx(-1)
