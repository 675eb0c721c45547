"""The gate lets through what is as good as the ranker in use, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.classification import log_loss
from online_models.tasks import NEGATIVE, TASKS
from online_models.training.gate import GateRules, Trial, judge

RULES = GateRules()


def trial(seed: int = 0) -> Trial:
    """All comes as it was foreseen, by all three alike; but nothing is bought or rejected."""
    rng = np.random.default_rng(seed)
    click = rng.uniform(0.05, 0.95, 5_000)
    probabilities = click[:, None] * [1, 0.3, 0, 0]
    labels = rng.random((5_000, 1)) < probabilities
    return Trial(500, labels, probabilities, probabilities, probabilities)


def test_the_same_passes() -> None:
    """As good as the one in use is good enough."""
    verdict = judge(trial(), RULES)
    assert verdict.passed
    assert verdict.figures["log_loss_as_it_stands"] == verdict.figures["log_loss_in_use"]
    assert 0.95 < verdict.figures["calibration_as_it_stands"] < 1.05


@pytest.mark.parametrize("which", ["foreseen", "candidate"])
def test_both_looks_must_pass(which: str) -> None:
    """Before learning, and as it stands: noise in either is refused."""
    spoilt = trial()
    noisy = np.random.default_rng(1).permutation(spoilt.candidate)  # whole rows
    (reason,) = judge(replace(spoilt, **{which: noisy}), RULES).reasons
    assert reason.startswith("log loss")


@pytest.mark.parametrize(("factor", "passes"), [(0.85, False), (0.97, True), (1.15, False)])
def test_what_promises_too_much_or_too_little_is_refused(factor: float, passes: bool) -> None:
    """Its order may be as good as ever."""
    asked = trial()
    candidate = asked.candidate * factor
    verdict = judge(replace(asked, candidate=candidate), replace(RULES, most_worse=1.0))
    assert verdict.passed is passes
    assert passes or "foreseen / true clicks" in verdict.reasons[0]


@pytest.mark.parametrize("task", range(len(TASKS)))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float, task: int) -> None:
    """A single slot is enough, of any task."""
    asked = trial()
    candidate = asked.candidate.copy()
    candidate[7, task] = bad
    assert judge(replace(asked, candidate=candidate), RULES).reasons == [
        "a probability is not finite"
    ]


def test_few_answers_or_clicks_say_little() -> None:
    """Neither for nor against."""
    asked = trial()
    assert judge(replace(asked, answers=199), RULES).reasons == ["199 answers, expected 200"]
    none = replace(asked, labels=np.zeros((5_000, len(TASKS)), np.bool_))
    assert judge(none, RULES).reasons == ["0 clicks, expected 100"]


def test_what_follows_a_click_is_told_and_refuses_nobody() -> None:
    """However badly it is foreseen; what never came is not spoken of."""
    asked = trial()
    candidate = asked.candidate * [1, 3, 1, 1]
    verdict = judge(replace(asked, candidate=candidate), RULES)
    assert verdict.passed
    figures = verdict.figures
    assert figures["dwell_log_loss_as_it_stands"] > figures["dwell_log_loss_before_learning"]
    assert figures["dwell_log_loss_before_learning"] == figures["dwell_log_loss_in_use"]
    assert figures["dwell_calibration_as_it_stands"] == pytest.approx(
        3 * figures["dwell_calibration_before_learning"]
    )
    assert not any(name.startswith(("conversion", "negative")) for name in figures)


def test_rejections_are_measured_among_the_responses() -> None:
    """Whatever is said of slots that nobody responded to; and they refuse nobody."""
    asked = trial()
    rng = np.random.default_rng(3)
    labels, said = asked.labels.copy(), asked.candidate.copy()
    labels[:, NEGATIVE] = rng.random(5_000) < 0.2
    answered = labels[:, 0] | labels[:, NEGATIVE]
    said[:, NEGATIVE] = np.where(answered, labels[answered, NEGATIVE].mean(), 0.9)
    verdict = judge(replace(asked, labels=labels, candidate=said), RULES)
    assert verdict.passed
    assert verdict.figures["negative_calibration_as_it_stands"] == pytest.approx(1)


@given(st.integers(0, 1000), st.floats(0, 0.02))
def test_the_bound_is_where_it_is_said_to_be(seed: int, worse: float) -> None:
    """A candidate worse by just less passes, by just more does not."""
    asked = trial(seed)
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, (5_000, 1))
    candidate = np.clip(asked.candidate + noise, 0.001, 0.999)
    clicked = asked.labels[:, 0]
    share = log_loss(candidate[:, 0], clicked) / log_loss(asked.in_use[:, 0], clicked) - 1
    rules = GateRules(most_worse=worse, calibration=(0, 10))
    assert judge(replace(asked, candidate=candidate), rules).passed is (share <= worse)
