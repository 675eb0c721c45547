"""Bad news is told wherever it is, and good news is not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from replay.evaluate.baselines.contestant import Playing
from replay.evaluate.check import Check
from replay.evaluate.click_figures import ClickFigures, ClickScores, Estimate
from replay.evaluate.figures import Figures, figures
from replay.evaluate.outcome import Outcome
from replay.evaluate.rejection_figures import POPULARITY, Measured, RejectionFigures
from replay.evaluate.remarks import FEW_SLATES, remarks

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
    mine, none = Estimate(0.6, None, None), None
    product = ClickScores("product", mine, none, mine, none, half, none, 0.2, half)
    better, worse = (
        ClickScores(name, Estimate(auc, None, None), gap, none, none, none, none, none, none)
        for name, auc, gap in (("rate", 0.65, sure), ("noise", 0.5, Estimate(0.1, 0.0, 0.2)))
    )
    clicks = ClickFigures(9, FEW_SLATES, 90, 0, 0.3, [product, better, worse])
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


def test_a_loss_within_slates_is_news_whatever_the_pooled_figure_says(tiny: Outcome) -> None:
    """So is a click rate that gives likelier probabilities, and too few slates."""
    sure, gain = Estimate(-0.05, -0.07, -0.03), Estimate(0.1, 0.05, 0.2)
    mine, loss = Estimate(0.6, 0.5, 0.7), Estimate(0.4, 0.3, 0.5)
    product = ClickScores("product", mine, None, mine, None, loss, None, 0.1, None)
    rate = ClickScores("rate", mine, gain, Estimate(0.65, 0.6, 0.7), sure, loss, gain, 0.1, None)
    clicks = ClickFigures(9, FEW_SLATES - 1, 90, 0, 0.3, [product, rate])
    found = large(with_interval(figures(tiny), 60, 90))
    assert remarks(replace(found, clicks=clicks)) == [
        "on tiny rate tells impressions with a click from those without better within a slate: "
        "AUC by slate 0.6000 < 0.6500 (difference -0.0700 to -0.0300)",
        "on tiny rate gives likelier probabilities of a click: log loss 0.5000 > 0.4000 "
        "(difference +0.0500 to +0.2000)",
        "on tiny 199 slates hold an item with a click and one without: AUC by slate says little",
    ]


def test_a_failed_leak_check_comes_first(outcome_of: Callable[..., Outcome]) -> None:
    """Before any loss; one that could not be made is no failure."""
    checks = [
        Check("creation dates", passed=False, found="3 of 9 items: a, b, c. Correct them."),
        Check("random labels", passed=None, found="Too few."),
    ]
    found = figures(outcome_of({"product": POOR, "fixed": GOOD}, ["fixed"]), checks=checks)
    first, second, third, *_ = remarks(found)
    assert first == (
        'on tiny the leak check "creation dates" FAILED: 3 of 9 items: a, b, c. Correct them.'
    )
    assert second == "on tiny no figure can be quoted: somebody knew what was to come"
    assert "foresees less" in third


def test_who_never_played_is_named(outcome_of: Callable[..., Outcome]) -> None:
    """Its figures are those of popularity, whatever its name."""
    outcome = outcome_of({"product": GOOD, "fixed": POOR, "ease": POOR}, ["fixed", "ease"])
    outcome = replace(outcome, playing={"ease": Playing(0.0, 0), "fixed": Playing(0.5, None)})
    assert remarks(large(with_interval(figures(outcome), 60, 90))) == [
        "on tiny never played, and are compared with nobody: ease (trained 0 times); each of their "
        "lists is what stands behind them, popularity"
    ]


@pytest.mark.parametrize(
    ("theirs", "verdict"), [(POPULARITY, "learns nothing here"), ("transitions", "is behind")]
)
def test_an_encoder_below_a_simple_method_is_news(
    outcome_of: Callable[..., Outcome], theirs: str, verdict: str
) -> None:
    """The better of its rows is what counts; what is below popularity has learned nothing."""
    lists = {"product": GOOD, "encoder-frozen": POOR, "encoder-daily": [[1], [0], [2], [0]]}
    better = [[1], [1], [2], [1]]
    found = large(with_interval(figures(outcome_of({**lists, theirs: better}, [theirs])), 60, 90))
    assert [each for each in remarks(found) if "encoder" in each] == []
    lists["encoder-daily"] = [[1], [0], [1], [0]]
    found = large(with_interval(figures(outcome_of({**lists, theirs: better}, [theirs])), 60, 90))
    assert [each for each in remarks(found) if "encoder" in each] == [
        f"on tiny the encoder {verdict}: alone it reaches Recall@20 0.5000 (encoder-daily), "
        f"{theirs} reaches 0.7500"
    ]


def test_rejected_items_in_lists_are_news(tiny: Outcome) -> None:
    """Where popularity lists fewer of them; and an order that is upside down."""
    more = Estimate(0.1, 0.05, 0.15)
    half, less = Estimate(0.5, 0.4, 0.6), Estimate(0.4, 0.3, 0.5)
    worse = [Measured("product", half, None), Measured(POPULARITY, less, more)]
    better = [Measured("product", less, None), Measured(POPULARITY, half, Estimate(-0.1, -0.2, 0))]
    upside_down = [Measured("product", less, None)]
    found = large(with_interval(figures(tiny), 60, 90))
    bad = RejectionFigures(70, worse, 30, worse, 9, upside_down)
    assert remarks(replace(found, rejections=bad)) == [
        "on tiny more of the product's lists hold the item that is then rejected than of "
        "recent-popular-2000: 0.5000 > 0.4000 (difference +0.0500 to +0.1500)",
        "on tiny more of the product's lists are like what was rejected before than of "
        "recent-popular-2000: 0.5000 > 0.4000 (difference +0.0500 to +0.1500)",
        "on tiny the product scores what is then rejected above what is accepted: AUC 0.4000 in 9 "
        "comparisons",
    ]
    good = RejectionFigures(70, better, 30, better, 9, [Measured("product", half, None)])
    assert remarks(replace(found, rejections=good)) == []


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
        "on tiny the product foresees less than the best baseline in 2 of 3 slices: "
        "popularity head (0.7500 < 0.8500), popularity tail (0.7500 < 0.8500)"
    ]
    assert remarks(slices([lost, doubtful] + 5 * [(-0.1, 0.9)])) == [
        "on tiny the product foresees less than the best baseline in 1 of 7 slices: "
        "popularity head (0.7500 < 0.8500)"
    ]
    assert remarks(slices([gained, (-0.1, 0.9)])) == []


def test_nothing_compared_is_news(outcome_of: Callable[..., Outcome]) -> None:
    """A report without the product must not look as if all were well."""
    found = large(figures(outcome_of({"fixed": GOOD}, ["fixed"])))
    assert remarks(found) == [
        "on tiny nothing is compared: the product or every baseline is missing"
    ]
