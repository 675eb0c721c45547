"""What a reader of the figures must not miss: the bad news, in plain sentences.

Law: the sentences come from the figures alone, so no loss depends on someone mentioning it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from online_models.maths.intervals import LEVEL, holm
from replay.evaluate.comparison import Comparison
from replay.evaluate.figures import Figures
from replay.evaluate.request import PRODUCT
from replay.evaluate.scores import Scores

SURE: Final = 0.05  # a loss in a slice is told when chance alone is rarer
FEW_REQUESTS: Final = 1_000
MANY_UNSEEN: Final = 0.05
OFF: Final = 1.25  # times as many clicks foreseen as came, or as few


def remarks(log: Figures) -> list[str]:
    """Return what to mind about a log, losses first.

    Losses of the whole log are told whether or not they may be chance; losses in slices only
    when Holm's correction over all slices of the log leaves them sure, because among so many
    some are always below.
    """
    told = [*_losses(log), *_slice_losses(log), *_narrower(log), *_clicks(log), *_doubts(log)]
    return [f"on {log.name} {sentence}" for sentence in told]


def _losses(log: Figures) -> Iterator[str]:
    found = _comparison(log)
    if found is None:
        yield "nothing is compared: the product or every baseline is missing"
        return
    if found.absolute < 0:
        yield (
            f"the product foresees less than {found.baseline}: Recall@20 {found.recall20:.4f} < "
            f"{found.baseline_recall20:.4f}{_interval(found)}"
        )
    elif found.low is None or found.low <= 0:
        yield (
            f"the gain over {found.baseline} may be chance: Recall@20 {found.recall20:.4f} "
            f"beside {found.baseline_recall20:.4f}{_interval(found)}"
        )
    product = _scores(log)[PRODUCT]
    for measure, title in (("mrr20", "MRR@20"), ("ndcg10", "NDCG@10")):
        best = max(_baselines(log), key=lambda each: float(getattr(each, measure)))
        mine, theirs = f"{getattr(product, measure):.4f}", f"{getattr(best, measure):.4f}"
        if float(mine) < float(theirs):
            yield f"{best.contestant} ranks better: {title} {mine} < {theirs}"


def _slice_losses(log: Figures) -> Iterator[str]:
    compared = [(each, each.comparison) for each in log.slices if each.comparison is not None]
    corrected = holm(np.array([found.p for _, found in compared]))
    lost = [
        f"{part.group} {part.name} ({found.recall20:.4f} < {found.baseline_recall20:.4f})"
        for (part, found), p in zip(compared, corrected, strict=True)
        if found.absolute < 0 and p < SURE
    ]
    if lost:
        yield (
            f"the product foresees less than {compared[0][1].baseline} in {len(lost)} of "
            f"{len(compared)} slices: {', '.join(lost)}"
        )


def _narrower(log: Figures) -> Iterator[str]:
    found = _comparison(log)
    if found is None:
        return
    product, baseline = _scores(log)[PRODUCT], _scores(log)[found.baseline]
    if product.coverage10 < baseline.coverage10:
        yield (
            f"the product shows fewer of the items than {found.baseline}: coverage@10 "
            f"{product.coverage10:.4f} < {baseline.coverage10:.4f}"
        )


def _clicks(log: Figures) -> Iterator[str]:
    if log.clicks is None:
        return
    product = log.clicks.product
    for each in log.clicks.scores:
        if each.auc_gap is not None and each.auc_gap.value < 0:
            gap = each.auc_gap
            known = gap.low is not None and gap.high is not None
            between = f" (difference {gap.low:+.4f} to {gap.high:+.4f})" if known else ""
            yield (
                f"{each.contestant} tells impressions with a click from those without better: AUC "
                f"{product.auc.value:.4f} < {each.auc.value:.4f}{between}"
            )
    ratio = product.foreseen_over_true
    if ratio is not None and not 1 / OFF < ratio.value < OFF:
        yield f"the ranker foresees {ratio.value:.2f} times the clicks on what was shown"


def _doubts(log: Figures) -> Iterator[str]:
    if log.requests < FEW_REQUESTS:
        yield f"there are {log.requests:,} requests only: the intervals are wide"
    if log.unseen_share > MANY_UNSEEN:
        yield (
            f"{100 * log.unseen_share:.1f} % of the targets did not exist when they were asked "
            "for: a miss for everyone"
        )


def _comparison(log: Figures) -> Comparison | None:
    return next((each for each in log.comparisons if each.contestant == PRODUCT), None)


def _baselines(log: Figures) -> list[Scores]:
    return [each for each in log.scores if each.is_baseline]


def _scores(log: Figures) -> dict[str, Scores]:
    return {each.contestant: each for each in log.scores}


def _interval(found: Comparison) -> str:
    if found.delta_pct is None or found.ci_low is None or found.ci_high is None:
        return ""
    level = f"{100 * LEVEL:.0f} % interval {found.ci_low:+.1f} to {found.ci_high:+.1f}"
    return f" ({found.delta_pct:+.1f} %, {level})"
