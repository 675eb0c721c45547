"""How the sources score items."""

import numpy as np
import pytest

from freshet.core.state.records import TREND_HALF_LIVES_S
from online_models.features import SOURCES
from online_models.sources import QUOTAS, popular_scores, trending_scores, visit_weights

_LN2 = np.log(2)


def rates_of(*expected: tuple[float, float, float, float]) -> np.ndarray:
    """Rates from the events expected within each half-life."""
    return (np.array(expected) * _LN2 / np.array(TREND_HALF_LIVES_S)).astype(np.float32)


def test_every_source_has_a_quota() -> None:
    """In the same order."""
    assert tuple(QUOTAS) == SOURCES
    assert all(0 < share <= 1 for share in QUOTAS.values())


def test_popular_adds_the_day_to_the_week() -> None:
    """And all-time counts break a tie; an item acted on once is never zero."""
    rates = rates_of((0, 0, 10, 50), (0, 0, 30, 40), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    scores = popular_scores(rates, np.array([0, 0, 9, 1, 0], np.uint32))
    assert np.argsort(-scores, kind="stable").tolist() == [1, 0, 2, 3, 4]
    assert scores[3] > 0
    assert scores[4] == 0


def test_trending_is_a_surprise() -> None:
    """What is always busy does not trend; what wakes up does; what falls asleep is below zero."""
    usual = 168.0  # a week of one event an hour
    rates = rates_of((0, 1, 24, usual), (0, 9, 24, usual), (0, 0, 24, usual), (0, 0, 0, 0))
    steady, rising, falling, silent = trending_scores(rates).tolist()
    assert rising > 3 > abs(steady)
    assert falling < steady
    assert silent == 0


def test_the_last_visit_weighs_most() -> None:
    """Each weighs the same share of the next newer one."""
    weights = visit_weights(4)
    assert weights[0] == 1
    shares = weights[1:] / weights[:-1]
    assert shares == pytest.approx(shares[0])
    assert 0 < shares[0] < 1
    assert len(visit_weights(0)) == 0
