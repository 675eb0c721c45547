"""The gate: whether a ranker that learned from the stream may take the place of the one in use.

It is judged by progressive validation: each answer was foreseen before it was learned (Blum, Kalai
and Langford 1999, "Beating the hold-out"). That speaks of the learner as it went along, not of
where it has come to, so the candidate as it stands is asked about the same answers too: a last
mini-batch that spoilt it shows there.

Clicks decide. How well the other tasks are predicted is reported beside it and refuses nobody: they
happen too seldom to decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.maths.classification import calibration_ratio, log_loss
from online_models.tasks import GIVEN_CLICK, TASKS, counted

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GateRules:
    """What is asked of a candidate.

    Attributes:
        most_worse: share by which its log loss may be above that of the ranker in use.
        calibration: bounds of foreseen clicks / true clicks.
        least_answers: answers that it must have been tried on.
        least_clicks: clicks in them; fewer say little of either.
        most_rank_ms: time that `RANKED_ROWS` candidates may take.
    """

    most_worse: float = 0.005
    calibration: tuple[float, float] = (0.9, 1.1)
    least_answers: int = 200
    least_clicks: int = 100
    most_rank_ms: float = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """The newest answers and what was foreseen of them, slot by slot.

    Attributes:
        answers: how many they are.
        labels: (n, T) bool, the click first.
        foreseen: (n, T) by the learner, before it learned the answer.
        candidate: (n, T) by the candidate as it stands.
        in_use: (n, T) by the ranker in use.
    """

    answers: int
    labels: NDArray[np.bool_]
    foreseen: Probabilities
    candidate: Probabilities
    in_use: Probabilities


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Attributes:
        reasons: why not; none when the candidate may serve.
        figures: what was compared.
    """

    reasons: list[str]
    figures: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether the candidate may serve."""
        return not self.reasons


def judge(trial: Trial, rules: GateRules) -> Verdict:
    """Return whether a candidate may serve, and the figures that decide it.

    >>> labels = np.array([[True, False, False, False], [False] * 4] * 200)
    >>> sure, unsure = np.where(labels, 0.9, 0.1), np.full((400, 4), 0.5)
    >>> judge(Trial(400, labels, sure, sure, unsure), GateRules()).passed
    True
    >>> judge(Trial(400, labels, unsure, sure, sure), GateRules()).reasons
    ['log loss 0.6931 before learning, 0.1054 by the ranker in use']
    """
    clicks = int(trial.labels[:, 0].sum())
    counts = {"answers": float(trial.answers), "slots": float(len(trial.labels)), "clicks": clicks}
    for found, least, what in (
        (trial.answers, rules.least_answers, "answers"),
        (clicks, rules.least_clicks, "clicks"),
    ):
        if found < least:
            return Verdict([f"{found} {what}, expected {least}"], counts)
    if not all(np.isfinite(each).all() for each in (trial.foreseen, trial.candidate)):
        return Verdict(["a probability is not finite"], counts)
    figures = _figures(trial, 0)
    reasons = []
    in_use = figures["log_loss_in_use"]
    low, high = rules.calibration
    for when in ("before learning", "as it stands"):
        name = when.replace(" ", "_")
        loss, ratio = figures[f"log_loss_{name}"], figures[f"calibration_{name}"]
        if not loss <= in_use * (1 + rules.most_worse):
            reasons.append(f"log loss {loss:.4f} {when}, {in_use:.4f} by the ranker in use")
        if not low <= ratio <= high:
            reasons.append(f"foreseen / true clicks {ratio:.2f} {when}, expected {low} to {high}")
    for task, name in enumerate(TASKS[1:], start=1):
        if trial.labels[:, task].any():
            told = _figures(trial, task)
            figures |= {f"{name}_{figure}": value for figure, value in told.items()}
    return Verdict(reasons, counts | figures)


def _figures(trial: Trial, task: int) -> dict[str, float]:
    """Return log loss and calibration of those who are asked, and the loss of the one in use.

    Over the slots on which the column of the task counts.
    """
    counts = slice(None) if GIVEN_CLICK[task] else counted(trial.labels)[:, task]
    labels = trial.labels[counts, task]
    figures = {"log_loss_in_use": log_loss(trial.in_use[counts, task], labels)}
    for when, probabilities in (
        ("before_learning", trial.foreseen[counts, task]),
        ("as_it_stands", trial.candidate[counts, task]),
    ):
        figures[f"log_loss_{when}"] = log_loss(probabilities, labels)
        figures[f"calibration_{when}"] = calibration_ratio(probabilities, labels)
    return figures
