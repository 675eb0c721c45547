"""The figures of a judged run: every measure of every contestant, and how sure the gain is.

Law: a contestant is compared with the baseline that did best on these very requests, those of a
slice with the one that did best in it, chosen after the fact. The choice can only favour the
baseline, so no gain is the luck of choosing. A baseline that never played is not chosen, and where
a leak check failed nothing is quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import FreshetError
from online_models.maths.accuracy import hits_at
from online_models.training.histories import Histories
from replay.evaluate.check import Check
from replay.evaluate.click_figures import ClickFigures, Estimate, click_figures
from replay.evaluate.comparison import Comparison, compare
from replay.evaluate.outcome import Outcome
from replay.evaluate.rejection_figures import RejectionFigures, rejection_figures
from replay.evaluate.request import PRODUCT
from replay.evaluate.scores import Scores, scores_of
from replay.evaluate.slices import slices_of

WINDOWS: Final = 50  # of the curve over time


class NoRequestError(FreshetError, ValueError):
    """A run in which nothing was asked."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the judged part of {name!r} holds no request: nobody visits an item there that is "
            "not among their last 50; record more users, items or time"
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the requests.

    Attributes:
        group: what the requests are told apart by.
        name: of the slice in its group.
        requests: how many.
        recall20: by contestant.
        comparison: of the product with the baseline that is best in the slice, p-values
            uncorrected; None when one of them is missing.
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
    """What to quote of the product on a log; see `Scores`, `Comparison` and `ClickScores`.

    Attributes:
        difference: of Recall@20 to that of the best baseline, 1 = all requests.
        delta_pct: the same relative to the baseline, with `ci_low` and `ci_high`.
        slate_auc: of the product, on what was shown; None where that cannot be said.
        best_click_baseline: the one with the biggest AUC by slate.
        slate_auc_gap: what the product's AUC by slate is above that.
        checks_failed: names of the leak checks that failed; with any of them, no figure is quoted.
    """

    recall20: float | None = None
    mrr20: float | None = None
    ndcg10: float | None = None
    best_baseline: str | None = None
    baseline_recall20: float | None = None
    difference: float | None = None
    delta_pct: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    slate_auc: Estimate | None = None
    best_click_baseline: str | None = None
    slate_auc_gap: Estimate | None = None
    checks_failed: list[str] = field(default_factory=list)


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
        rejections: what lists do to people who reject; None where nobody rejects anything.
        checks: whether anybody knew the future.
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
    rejections: RejectionFigures | None
    facts: dict[str, float]
    checks: list[Check] = field(default_factory=list)

    @property
    def checks_failed(self) -> list[str]:
        """The names of the leak checks that failed."""
        return [each.name for each in self.checks if each.passed is False]


def figures(outcome: Outcome, seed: int = 0, checks: Sequence[Check] = ()) -> Figures:
    """Return the figures of an outcome.

    Args:
        outcome: with one request at least.
        seed: of the resampling; all comparisons draw alike.
        checks: for knowledge of the future.

    Raises:
        NoRequestError: when nothing was asked.
    """
    if not len(outcome.events):
        raise NoRequestError(outcome.name)
    histories = Histories(outcome.log)
    ranks = {name: outcome.ranks(name) for name in outcome.lists}
    hits = {name: hits_at(each, 20) for name, each in ranks.items()}
    scores = scores_of(outcome, histories, ranks)
    playing = [each.contestant for each in scores if each.is_baseline and each.played]
    best = playing[0] if playing else None
    judged = [name for name in hits if name not in outcome.baselines]
    comparisons = compare(outcome, hits, judged, best, seed)
    clicks = click_figures(outcome.impressions, seed) if outcome.impressions else None
    return Figures(
        name=outcome.name,
        events=len(outcome.log),
        requests=len(outcome.events),
        unseen_share=_unseen_share(outcome, histories),
        headline=_headline(scores, comparisons, clicks, checks),
        scores=scores,
        comparisons=comparisons,
        slices=_slices(outcome, hits, playing, seed),
        curve=_curve(outcome, hits),
        clicks=clicks,
        rejections=rejection_figures(outcome, seed),
        facts=outcome.facts,
        checks=list(checks),
    )


def _slices(
    outcome: Outcome, hits: dict[str, NDArray[np.float64]], playing: list[str], seed: int
) -> list[Slice]:
    product = [PRODUCT] if PRODUCT in hits else []
    slices = []
    for group, name, mask in slices_of(outcome):
        recall20 = {contestant: float(each[mask].mean()) for contestant, each in hits.items()}
        best = max(playing, key=lambda contestant: recall20[contestant], default=None)
        comparison = next(iter(compare(outcome, hits, product, best, seed, mask)), None)
        slices.append(Slice(group, name, int(mask.sum()), recall20, comparison))
    return slices


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


def _headline(
    scores: list[Scores],
    comparisons: list[Comparison],
    clicks: ClickFigures | None,
    checks: Sequence[Check],
) -> Headline | None:
    failed = [each.name for each in checks if each.passed is False]
    if failed:
        return Headline(checks_failed=failed)
    found = next((each for each in comparisons if each.contestant == PRODUCT), None)
    if found is None:
        return None
    product = next(each for each in scores if each.contestant == PRODUCT)
    of_clicks = clicks.best_baseline if clicks is not None else None
    return Headline(
        recall20=product.recall20,
        mrr20=product.mrr20,
        ndcg10=product.ndcg10,
        best_baseline=found.baseline,
        baseline_recall20=found.baseline_recall20,
        difference=found.absolute,
        delta_pct=found.delta_pct,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        slate_auc=clicks.product.slate_auc if clicks is not None else None,
        best_click_baseline=of_clicks.contestant if of_clicks is not None else None,
        slate_auc_gap=of_clicks.slate_auc_gap if of_clicks is not None else None,
    )


def _unseen_share(outcome: Outcome, histories: Histories) -> float:
    pairs = zip(outcome.events.tolist(), outcome.targets.tolist(), strict=True)
    return float(np.mean([not histories.available(event)[target] for event, target in pairs]))
