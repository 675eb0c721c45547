"""A budget is spent by work, not by time."""

import math

import pytest

from online_models.training.budget import Budget, encoder_step_s


def test_time_alone_spends_nothing() -> None:
    """Up to far beyond the plan, where a price must be wrong."""
    clock = [0.0]
    budget = Budget.of(10.0, now=lambda: clock[0])
    clock[0] = 79.0
    assert (budget.spent_s, budget.left_s, budget.over()) == (0, 10, False)
    clock[0] = 81.0
    assert budget.capped
    assert budget.over()


def test_work_spends_it() -> None:
    """Until nothing is left, and never less than nothing."""
    budget = Budget.of(10.0, now=lambda: 0.0)
    budget.spend(4.0)
    assert (budget.left_s, budget.spent(), budget.over()) == (6, 0.4, False)
    budget.spend(7.0)
    assert (budget.left_s, budget.spent(), budget.over()) == (0, 1, True)
    assert not budget.capped


def test_a_share_is_of_the_whole_or_what_is_left_of_it() -> None:
    """And what is spent of it is spent of the whole."""
    whole = Budget.of(10.0, now=lambda: 0.0)
    part = whole.share(0.4)
    part.spend(4.0)
    assert part.over()
    assert whole.left_s == 6
    assert whole.share(0.9).seconds == 6
    whole.share(0.9).share(0.5).spend(1.0)
    assert whole.left_s == 5


@pytest.mark.parametrize(("seconds", "over"), [(0.0, True), (math.inf, False)])
def test_nothing_and_without_end(seconds: float, over: bool) -> None:
    """The one is spent at once, the other never."""
    budget = Budget.of(seconds, now=lambda: 1e9)
    assert budget.over() is over
    budget.spend(1e9)
    assert budget.over() is over
    assert budget.spent() == (1 if over else 0)


def test_a_step_costs_more_the_more_it_does() -> None:
    """In each of what it does."""
    usual = {"positions": 1_000, "length": 10, "pairs": 100_000, "items": 1_000}
    for name, value in usual.items():
        assert encoder_step_s(**(usual | {name: 10 * value})) > encoder_step_s(**usual)
