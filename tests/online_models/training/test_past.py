"""The past: the state of all items, the same however one gets there."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import CLICK, IMPRESSION, INTERACTION, VISIT
from freshet.core.settings import Settings
from online_models.training.log import TrainingLog
from online_models.training.past import Past

pytestmark = pytest.mark.training


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 500), max_size=5))
def test_it_does_not_matter_in_what_steps_one_advances(
    random_log: Callable[..., TrainingLog], seed: int, steps: list[int]
) -> None:
    """One leap or many steps, also with questions on the way."""
    log = random_log(seed)
    leap, stepped = Past(log, Settings()), Past(log, Settings())
    leap.advance(400)
    for step in [*sorted(steps), 400]:
        stepped.advance(min(step, 400))
        stepped.orders()
        stepped.transitions(1)
    rows = np.arange(len(log.items))
    assert np.array_equal(leap.rates(rows), stepped.rates(rows))
    assert np.array_equal(leap.interactions, stepped.interactions)
    assert np.array_equal(leap.ages_s(rows), stepped.ages_s(rows))
    for row in range(len(log.items)):
        for one, two in zip(leap.transitions(row), stepped.transitions(row), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9)


def test_counts_are_those_of_the_slow_twin(random_log: Callable[..., TrainingLog]) -> None:
    """Interactions, impressions, clicks, first event times."""
    log = random_log(1)
    past = Past(log, Settings())
    past.advance(300)
    for row in range(len(log.items)):
        events = [event for event in range(300) if log.item[event] == row]
        kinds = log.kind[events]
        assert past.interactions[row] == INTERACTION[kinds].sum()
        assert past.impressions[row] == (kinds == IMPRESSION).sum()
        assert past.clicks[row] == (kinds == CLICK).sum()
        assert past.first_ts_ms[row] == (log.ts_ms[events[0]] if events else 0)


def test_transitions_are_those_of_the_slow_twin(random_log: Callable[..., TrainingLog]) -> None:
    """One and two visits back, in the order of time, at an endless half-life."""
    log = random_log(2, users=3)
    past = Past(log, Settings(covisit_half_life_s=10**12))
    past.advance(150)
    expected: dict[int, Counter[int]] = {}
    visits: dict[int, list[tuple[int, int]]] = {}
    for event in range(150):
        user, item, kind = (int(column[event]) for column in (log.user, log.item, log.kind))
        if not VISIT[kind]:
            continue
        before = visits.setdefault(user, [])
        for distance, (previous, previous_kind) in enumerate(before[-1:-3:-1], 1):
            if previous != item or previous_kind == kind:
                expected.setdefault(previous, Counter())[item] += 1 / distance
        before.append((item, kind))
    assert expected
    for row, counts in expected.items():
        rows, shares = past.transitions(row)
        assert dict(zip(rows.tolist(), shares.tolist(), strict=True)) == pytest.approx(
            {item: count / sum(counts.values()) for item, count in counts.items()}, abs=1e-6
        )


def test_nothing_has_happened_at_the_beginning(random_log: Callable[..., TrainingLog]) -> None:
    """No leaders, no transitions, no ages."""
    past = Past(random_log(0), Settings())
    orders = past.orders()
    assert len(orders.popular[0]) == len(orders.trending[0]) == 0
    assert len(past.transitions(0)[0]) == 0
    assert not past.ages_s(np.arange(3)).any()
