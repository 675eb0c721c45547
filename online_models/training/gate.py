"""The gate: whether a ranker that learned from the stream may take the place of the one in use.

It is judged by progressive validation: each answer was foreseen before it was learned (Blum, Kalai
and Langford 1999, "Beating the hold-out"). That speaks of the learner as it went along, not of
where it has come to, so the candidate as it stands is asked about the same answers too: a last
mini-batch that spoilt it shows there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]

_LEAST_PROBABILITY = 1e-7


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
        clicked: (n,) bool.
        foreseen: (n,) by the learner, before it learned the answer.
        candidate: (n,) by the candidate as it stands.
        in_use: (n,) by the ranker in use.
    """

    answers: int
    clicked: NDArray[np.bool_]
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

    >>> sure = np.array([0.9, 0.1] * 200)
    >>> unsure = np.full(400, 0.5)
    >>> clicked = np.array([True, False] * 200)
    >>> judge(Trial(400, clicked, sure, sure, unsure), GateRules()).passed
    True
    >>> judge(Trial(400, clicked, unsure, sure, sure), GateRules()).reasons
    ['log loss 0.6931 before learning, 0.1054 by the ranker in use']
    """
    clicks = int(trial.clicked.sum())
    counts = {"answers": float(trial.answers), "slots": float(len(trial.clicked)), "clicks": clicks}
    for found, least, what in (
        (trial.answers, rules.least_answers, "answers"),
        (clicks, rules.least_clicks, "clicks"),
    ):
        if found < least:
            return Verdict([f"{found} {what}, expected {least}"], counts)
    asked = {"before learning": trial.foreseen, "as it stands": trial.candidate}
    if not all(np.isfinite(each).all() for each in asked.values()):
        return Verdict(["a probability is not finite"], counts)
    reasons = []
    in_use = log_loss(trial.in_use, trial.clicked)
    figures = counts | {"log_loss_in_use": in_use}
    low, high = rules.calibration
    for when, probabilities in asked.items():
        loss = log_loss(probabilities, trial.clicked)
        ratio = float(probabilities.sum()) / clicks
        name = when.replace(" ", "_")
        figures |= {f"log_loss_{name}": loss, f"calibration_{name}": ratio}
        if not loss <= in_use * (1 + rules.most_worse):
            reasons.append(f"log loss {loss:.4f} {when}, {in_use:.4f} by the ranker in use")
        if not low <= ratio <= high:
            reasons.append(f"foreseen / true clicks {ratio:.2f} {when}, expected {low} to {high}")
    return Verdict(reasons, figures)


def log_loss(probabilities: Probabilities, clicked: NDArray[np.bool_]) -> float:
    """Return the mean log loss, smaller is better; what is not finite counts as surely wrong.

    >>> round(log_loss(np.array([0.5, 0.5]), np.array([True, False])), 4)
    0.6931
    """
    right = np.where(clicked, probabilities, 1 - probabilities.astype(np.float64))
    right = np.nan_to_num(right, nan=0.0, posinf=0.0, neginf=0.0)
    return float(-np.log(np.clip(right, _LEAST_PROBABILITY, 1)).mean())
