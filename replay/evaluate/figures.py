"""The figures of a judged run: every measure of every contestant, and how sure the gain is.

Law: a contestant is compared with the baseline that did best on these very requests, chosen after
the fact. The choice can only favour the baseline, so no gain is the luck of choosing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.maths.accuracy import hits_at
from online_models.training.histories import Histories
from replay.evaluate.click_figures import ClickFigures, click_figures
from replay.evaluate.comparison import Comparison, compare
from replay.evaluate.outcome import Outcome
from replay.evaluate.request import PRODUCT
from replay.evaluate.scores import Scores, scores_of
from replay.evaluate.slices import slices_of

WINDOWS: Final = 50  # of the curve over time


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the requests.

    Attributes:
        group: what the requests are told apart by.
        name: of the slice in its group.
        requests: how many.
        recall20: by contestant.
        comparison: of the product with the best baseline of the whole log, p-values uncorrected;
            None when one of them is missing.
    """

    group: str
    name: str
    requests: int
    recall20: dict[str, float]
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Curve:
    """Recall@20 over time.

    Attributes:
        ts_ms: event time of the request in the middle of each window.
        recall20: by contestant, the mean of each window.
    """

    ts_ms: list[int]
    recall20: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Headline:
    """What to quote of the product on a log; see `Scores` and `Comparison`."""

    recall20: float
    mrr20: float
    ndcg10: float
    best_baseline: str
    baseline_recall20: float
    delta_pct: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is reported of a log; becomes JSON as it is.

    Attributes:
        name: of the log.
        events: of the log.
        requests: that were asked.
        unseen_share: of the requests, whose target did not exist when they were asked.
        headline: None without the product or without baselines.
        scores: of all contestants, the best by Recall@20 first.
        comparisons: of all that are no baselines with the best baseline; empty without one.
        slices: parts of the requests.
        curve: all of them over time.
        clicks: on what people were shown; None where the log tells nothing of it.
        facts: what else there is to know of the run, by name.
    """

    name: str
    events: int
    requests: int
    unseen_share: float
    headline: Headline | None
    scores: list[Scores]
    comparisons: list[Comparison]
    slices: list[Slice]
    curve: Curve
    clicks: ClickFigures | None
    facts: dict[str, float]


def figures(outcome: Outcome, seed: int = 0) -> Figures:
    """Return the figures of an outcome.

    Args:
        outcome: with one request at least.
        seed: of the resampling; all comparisons draw alike.

    Raises:
        ValueError: when nothing was asked.
    """
    if not len(outcome.events):
        raise ValueError(
            f"the outcome of {outcome.name!r} holds no request: judge a longer part of the log"
        )
    histories = Histories(outcome.log)
    ranks = {name: outcome.ranks(name) for name in outcome.lists}
    hits = {name: hits_at(each, 20) for name, each in ranks.items()}
    scores = scores_of(outcome, histories, ranks)
    best = next((each.contestant for each in scores if each.is_baseline), None)
    judged = [name for name in hits if name not in outcome.baselines]
    comparisons = compare(outcome, hits, judged, best, seed)
    return Figures(
        name=outcome.name,
        events=len(outcome.log),
        requests=len(outcome.events),
        unseen_share=_unseen_share(outcome, histories),
        headline=_headline(scores, comparisons),
        scores=scores,
        comparisons=comparisons,
        slices=_slices(outcome, hits, best, seed),
        curve=_curve(outcome, hits),
        clicks=click_figures(outcome.impressions, seed) if outcome.impressions else None,
        facts=outcome.facts,
    )


def _slices(
    outcome: Outcome, hits: dict[str, NDArray[np.float64]], best: str | None, seed: int
) -> list[Slice]:
    product = [PRODUCT] if PRODUCT in hits else []
    return [
        Slice(
            group=group,
            name=name,
            requests=int(mask.sum()),
            recall20={contestant: float(each[mask].mean()) for contestant, each in hits.items()},
            comparison=next(iter(compare(outcome, hits, product, best, seed, mask)), None),
        )
        for group, name, mask in slices_of(outcome)
    ]


def _curve(outcome: Outcome, hits: dict[str, NDArray[np.float64]]) -> Curve:
    n = len(outcome.events)
    windows = np.array_split(np.arange(n), min(WINDOWS, n))
    middles = outcome.events[[window[len(window) // 2] for window in windows]]
    return Curve(
        ts_ms=outcome.log.ts_ms[middles].tolist(),
        recall20={
            name: [float(each[window].mean()) for window in windows] for name, each in hits.items()
        },
    )


def _headline(scores: list[Scores], comparisons: list[Comparison]) -> Headline | None:
    found = next((each for each in comparisons if each.contestant == PRODUCT), None)
    if found is None:
        return None
    product = next(each for each in scores if each.contestant == PRODUCT)
    return Headline(
        recall20=product.recall20,
        mrr20=product.mrr20,
        ndcg10=product.ndcg10,
        best_baseline=found.baseline,
        baseline_recall20=found.baseline_recall20,
        delta_pct=found.delta_pct,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
    )


def _unseen_share(outcome: Outcome, histories: Histories) -> float:
    pairs = zip(outcome.events.tolist(), outcome.targets.tolist(), strict=True)
    return float(np.mean([not histories.available(event)[target] for event, target in pairs]))
