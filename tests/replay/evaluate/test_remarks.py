"""Bad news is told wherever it is, and good news is not."""

from collections.abc import Callable
from dataclasses import replace

from replay.evaluate.click_figures import ClickFigures, ClickScores, Estimate
from replay.evaluate.figures import Figures, figures
from replay.evaluate.outcome import Outcome
from replay.evaluate.remarks import remarks

GOOD, POOR = [[1], [1], [2], [0]], [[0, 1], [0], [1], [2]]


def with_interval(found: Figures, low: float, high: float) -> Figures:
    """The same figures, had there been users enough for an interval, in per cent."""
    known = replace(found.comparisons[0], low=low / 100, high=high / 100, ci_low=low, ci_high=high)
    return replace(found, comparisons=[known])


def large(found: Figures) -> Figures:
    """The same figures from many requests, all of items that existed."""
    return replace(found, requests=5_000, unseen_share=0.01)


def test_a_loss_is_told_with_all_that_belongs_to_it(outcome_of: Callable[..., Outcome]) -> None:
    """Recall, its interval, order, coverage, and what makes all of it doubtful."""
    found = figures(outcome_of({"product": POOR, "fixed": GOOD}, ["fixed"]))
    assert remarks(with_interval(found, -90, -60)) == [
        "on tiny the product foresees less than fixed: Recall@20 0.2500 < 1.0000 "
        "(-75.0 %, 95 % interval -90.0 to -60.0)",
        "on tiny fixed ranks better: MRR@20 0.1250 < 1.0000",
        "on tiny fixed ranks better: NDCG@10 0.1577 < 1.0000",
        "on tiny there are 4 requests only: the intervals are wide",
        "on tiny 25.0 % of the targets did not exist when they were asked for: a miss for everyone",
    ]


def test_a_gain_that_is_sure_is_no_news(outcome_of: Callable[..., Outcome]) -> None:
    """With everything else at least as good."""
    found = figures(outcome_of({"product": GOOD, "fixed": POOR}, ["fixed"]))
    assert remarks(large(with_interval(found, 60, 90))) == []


def test_a_gain_that_may_be_chance_is_news(outcome_of: Callable[..., Outcome]) -> None:
    """An interval that reaches 0, and one that nobody knows."""
    found = large(figures(outcome_of({"product": GOOD, "fixed": POOR}, ["fixed"])))
    assert remarks(with_interval(found, -5, 90)) == [
        "on tiny the gain over fixed may be chance: Recall@20 1.0000 beside 0.2500 "
        "(+300.0 %, 95 % interval -5.0 to +90.0)"
    ]
    assert remarks(found) == [
        "on tiny the gain over fixed may be chance: Recall@20 1.0000 beside 0.2500"
    ]


def test_fewer_items_shown_is_news(outcome_of: Callable[..., Outcome]) -> None:
    """A gain that comes from showing the same to everyone."""
    lists = {"product": [[1]] * 4, "fixed": [[0], [2], [1], [1]]}
    found = large(with_interval(figures(outcome_of(lists, ["fixed"])), 5, 9))
    assert remarks(found) == [
        "on tiny the product shows fewer of the items than fixed: coverage@10 0.3333 < 1.0000"
    ]


def test_clicks_that_are_foreseen_worse_are_news(tiny: Outcome) -> None:
    """And so are far more or fewer of them than came."""
    sure, unsure = Estimate(-0.05, -0.07, -0.03), Estimate(-0.05, None, None)
    half = Estimate(0.5, 0.4, 0.6)
    product = ClickScores("product", Estimate(0.6, None, None), None, half, 0.2, half)
    better, worse = (
        ClickScores(name, Estimate(auc, None, None), gap, None, None, None)
        for name, auc, gap in (("rate", 0.65, sure), ("noise", 0.5, Estimate(0.1, 0.0, 0.2)))
    )
    clicks = ClickFigures(9, 90, 0, 0.3, [product, better, worse])
    found = large(with_interval(figures(tiny), 60, 90))
    assert remarks(replace(found, clicks=clicks)) == [
        "on tiny rate tells impressions with a click from those without better: "
        "AUC 0.6000 < 0.6500 (difference -0.0700 to -0.0300)",
        "on tiny the ranker foresees 0.50 times the clicks on what was shown",
    ]
    for ratio in (None, replace(half, value=0.9)):
        doubtful = [replace(product, foreseen_over_true=ratio), replace(better, auc_gap=unsure)]
        assert remarks(replace(found, clicks=replace(clicks, scores=doubtful))) == [
            "on tiny rate tells impressions with a click from those without better: "
            "AUC 0.6000 < 0.6500"
        ]


def test_losses_in_slices_are_told_where_they_are_sure(tiny: Outcome) -> None:
    """Which depends on how many slices were looked at."""
    found = large(with_interval(figures(tiny), 60, 90))
    assert len(found.slices) == 7

    def slices(gains: list[tuple[float, float]]) -> Figures:
        parts = []
        for part, (absolute, p) in zip(found.slices, gains, strict=False):
            changed = replace(
                found.comparisons[0], absolute=absolute, p=p, baseline_recall20=0.75 - absolute
            )
            parts.append(replace(part, comparison=changed))
        return replace(found, slices=parts)

    lost, doubtful, gained = (-0.1, 0.004), (-0.1, 0.02), (0.1, 0.004)
    assert remarks(slices([lost, doubtful, gained])) == [
        "on tiny the product foresees less than fixed in 2 of 3 slices: "
        "popularity head (0.7500 < 0.8500), popularity tail (0.7500 < 0.8500)"
    ]
    assert remarks(slices([lost, doubtful] + 5 * [(-0.1, 0.9)])) == [
        "on tiny the product foresees less than fixed in 1 of 7 slices: "
        "popularity head (0.7500 < 0.8500)"
    ]
    assert remarks(slices([gained, (-0.1, 0.9)])) == []


def test_nothing_compared_is_news(outcome_of: Callable[..., Outcome]) -> None:
    """A report without the product must not look as if all were well."""
    found = large(figures(outcome_of({"fixed": GOOD}, ["fixed"])))
    assert remarks(found) == [
        "on tiny nothing is compared: the product or every baseline is missing"
    ]
