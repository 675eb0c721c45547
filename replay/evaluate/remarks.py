"""What a reader of the figures must not miss: the bad news, in plain sentences.

Law: the sentences come from the figures alone, so no loss depends on someone mentioning it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from online_models.maths.intervals import LEVEL, holm
from replay.evaluate.click_figures import Estimate
from replay.evaluate.comparison import Comparison
from replay.evaluate.figures import Figures
from replay.evaluate.rejection_figures import POPULARITY
from replay.evaluate.request import PRODUCT
from replay.evaluate.scores import Scores

SURE: Final = 0.05  # a loss in a slice is told when chance alone is rarer
FEW_REQUESTS: Final = 1_000
MANY_UNSEEN: Final = 0.05
FEW_SLATES: Final = 200
ENCODER: Final = "encoder-"  # begins the names of the rows of the encoder alone
OFF: Final = 1.25  # times as many clicks foreseen as came, or as few


def remarks(log: Figures) -> list[str]:
    """Return what to mind about a log, failed leak checks first, then losses.

    Losses of the whole log are told whether or not they may be chance; losses in slices only
    when Holm's correction over all slices of the log leaves them sure, because among so many
    some are always below.
    """
    sentences = [
        *_leaks(log),
        *_losses(log),
        *_slice_losses(log),
        *_narrower(log),
        *_clicks(log),
        *_rejections(log),
        *_parts(log),
        *_doubts(log),
    ]
    return [f"on {log.name} {sentence}" for sentence in sentences]


def _leaks(log: Figures) -> Iterator[str]:
    failed = [each for each in log.checks if each.passed is False]
    for each in failed:
        yield f'the leak check "{each.name}" FAILED: {each.found}'
    if failed:
        yield "no figure can be quoted: somebody knew what was to come"


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
            f"the product foresees less than the best baseline in {len(lost)} of "
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
    product, others = log.clicks.product, log.clicks.scores
    for title, where, mine, found in (
        (
            "AUC by slate",
            " within a slate",
            product.slate_auc,
            [(each.contestant, each.slate_auc, each.slate_auc_gap) for each in others],
        ),
        (
            "AUC",
            "",
            product.auc,
            [(each.contestant, each.auc, each.auc_gap) for each in others],
        ),
    ):
        better = [
            (name, theirs.value, gap)
            for name, theirs, gap in found
            if theirs is not None and gap is not None and gap.value < 0
        ]
        if better and mine is not None:
            name, theirs, gap = max(better, key=lambda each: each[1])
            rest = sorted(other for other, _, _ in better if other != name)
            yield (
                f"{name} tells impressions with a click from those without better{where}: {title} "
                f"{mine.value:.4f} < {theirs:.4f}{_between(gap)}"
                + (f"; so do {', '.join(rest)}" if rest else "")
            )
    for each in others:
        loss, gap_of_loss = each.log_loss, each.log_loss_gap
        if loss is not None and gap_of_loss is not None and gap_of_loss.value > 0:
            yield (
                f"{each.contestant} gives likelier probabilities of a click: log loss "
                f"{loss.value + gap_of_loss.value:.4f} > {loss.value:.4f}{_between(gap_of_loss)}"
            )
    if log.clicks.mixed_slates < FEW_SLATES:
        mixed = f"{log.clicks.mixed_slates:,}"
        yield f"{mixed} slates hold an item with a click and one without: AUC by slate says little"
    ratio = product.foreseen_over_true
    if ratio is not None and not 1 / OFF < ratio.value < OFF:
        yield f"the ranker foresees {ratio.value:.2f} times the clicks on what was shown"


def _rejections(log: Figures) -> Iterator[str]:
    found = log.rejections
    if found is None:
        return
    for title, figures in (
        ("hold the item that is then rejected", found.rejected20),
        ("are like what was rejected before", found.like_rejected20),
    ):
        mine, theirs = found.of(figures, PRODUCT), found.of(figures, POPULARITY)
        if mine is None or theirs is None or theirs.gap is None:
            continue
        if theirs.gap.value > 0:
            yield (
                f"more of the product's lists {title} than of {POPULARITY}: "
                f"{mine.value.value:.4f} > {theirs.value.value:.4f}{_between(theirs.gap)}"
            )
    accepted = found.of(found.accepted_auc, PRODUCT)
    if accepted is not None and accepted.value.value < 0.5:
        yield (
            "the product scores what is then rejected above what is accepted: AUC "
            f"{accepted.value.value:.4f} in {found.compared:,} comparisons"
        )


def _parts(log: Figures) -> Iterator[str]:
    """Say which parts and baselines are not worth their name."""
    scores = _scores(log)
    encoders = [each for each in log.scores if each.contestant.startswith(ENCODER)]
    simple = [scores[name] for name in (POPULARITY, "transitions") if name in scores]
    if encoders and simple:
        mine = max(encoders, key=lambda each: each.recall20)
        for theirs in (each for each in simple if mine.recall20 < each.recall20):
            useless = theirs.contestant == POPULARITY or mine.recall20 < theirs.recall20 / 2
            verdict = "learns nothing here" if useless else "is behind"
            yield (
                f"the encoder {verdict}: alone it reaches "
                f"Recall@20 {mine.recall20:.4f} ({mine.contestant}), {theirs.contestant} reaches "
                f"{theirs.recall20:.4f}"
            )
    # A method that found nothing to go by is marked in the table; a model ought to have been there.
    silent = [each for each in log.scores if not each.played and each.trainings is not None]
    if silent:
        names = ", ".join(f"{each.contestant} (trained {each.trainings} times)" for each in silent)
        yield (
            f"never played, and are compared with nobody: {names}; each of their lists is what "
            "stands behind them, popularity"
        )
    share = log.facts.get("ranked_share")
    if share is not None and log.facts.get("ranker_exposures") and share < 1:
        yield f"the ranker ordered {100 * share:.1f} % of the product's lists only"


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
    return [each for each in log.scores if each.is_baseline and each.played]


def _scores(log: Figures) -> dict[str, Scores]:
    return {each.contestant: each for each in log.scores}


def _between(gap: Estimate) -> str:
    if gap.low is None or gap.high is None:
        return ""
    return f" (difference {gap.low:+.4f} to {gap.high:+.4f})"


def _interval(found: Comparison) -> str:
    if found.delta_pct is None or found.ci_low is None or found.ci_high is None:
        return ""
    level = f"{100 * LEVEL:.0f} % interval {found.ci_low:+.1f} to {found.ci_high:+.1f}"
    return f" ({found.delta_pct:+.1f} %, {level})"
