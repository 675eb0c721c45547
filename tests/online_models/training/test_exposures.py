"""Exposures are made small without losing what they teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from online_models.features import FEATURES, SOURCES
from online_models.training.exposures import KEPT_CANDIDATES, Exposure


def exposure(n: int, target: int) -> Exposure:
    """An exposure whose candidates are told apart by their first feature and their ranks."""
    features = np.zeros((n, len(FEATURES)), np.float16)
    features[:, 0] = np.arange(n)
    ranks = np.repeat(np.arange(n, dtype=np.int16)[:, None], len(SOURCES), axis=1)
    return Exposure(7, target, features, ranks)


@pytest.mark.parametrize(
    ("n", "target"), [(0, -1), (1, 0), (KEPT_CANDIDATES, 3), (KEPT_CANDIDATES + 50, -1)]
)
def test_a_short_or_missed_exposure_stays_whole(n: int, target: int) -> None:
    """There is nothing to thin out, or nothing to learn from."""
    each = exposure(n, target)
    assert each.thinned(np.random.default_rng(0)) is each


@pytest.mark.parametrize("target", [0, 1, 299, 599])
def test_the_right_candidate_is_kept_first_among_distinct_others(target: int) -> None:
    """Each with its own features and ranks."""
    each = exposure(600, target).thinned(np.random.default_rng(1))
    assert (each.event, each.target) == (7, 0)
    kept = each.features[:, 0].astype(int).tolist()
    assert kept[0] == target
    assert len(set(kept)) == len(kept) == KEPT_CANDIDATES
    assert each.ranks[:, 0].tolist() == kept


def test_the_others_are_drawn_evenly() -> None:
    """Of 450 others 149 are kept: over 2,000 draws each within 5 standard deviations."""
    rng, n = np.random.default_rng(2), 2_000
    counts = np.zeros(451)
    each = exposure(451, 200)
    for _ in range(n):
        counts[each.thinned(rng).features[:, 0].astype(int)] += 1
    assert counts[200] == n
    share = (KEPT_CANDIDATES - 1) / 450
    assert (np.abs(np.delete(counts, 200) - n * share) < 5 * np.sqrt(n * share * (1 - share))).all()


def test_labels_are_known_once_they_have_come() -> None:
    """That it was acted on always; a dwell and a purchase from their events on."""
    each = replace(exposure(3, 1), followed_at=(12, 30, 20))
    assert each.labels == (True, True, True, True)
    assert each.known_before(30).labels == (True, True, False, True)
    assert each.known_before(12).labels == exposure(3, 1).labels == (True, False, False, False)
