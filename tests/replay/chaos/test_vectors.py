"""The vectors of a run: the same for whoever asks."""

from __future__ import annotations

import numpy as np

from freshet.core.events.partition import item_hashes
from replay.chaos.vectors import ITEMS, chaos_vectors, item_name, live_chaos_vectors


def test_every_item_has_a_vector_and_it_stays() -> None:
    """Of length 1, found by its hash."""
    first, again = chaos_vectors(), live_chaos_vectors().current
    assert first.tag == again.tag != 0
    np.testing.assert_array_equal(first.vectors, again.vectors)
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=1), 1, rtol=1e-6)
    hashes = item_hashes([item_name(number) for number in range(ITEMS)])
    assert sorted(np.asarray(hashes).tolist()) == first.hashes.tolist()
