"""Every figure of a run that was reckoned by hand."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from replay.evaluate.baselines.contestant import Playing
from replay.evaluate.check import Check
from replay.evaluate.comparison import Comparison
from replay.evaluate.figures import Figures, Headline, NoRequestError, figures
from replay.evaluate.outcome import Outcome

LOG2_3 = np.log2(3)


def test_what_was_asked(tiny: Outcome) -> None:
    """One target of four existed only by the click that was to be foreseen."""
    found = figures(tiny)
    assert (found.name, found.events, found.requests, found.unseen_share) == ("tiny", 6, 4, 0.25)


def test_the_best_stands_first(tiny: Outcome) -> None:
    """By Recall@20."""
    assert [each.contestant for each in figures(tiny).scores] == ["product", "fixed", "silent"]


def test_the_scores_of_the_product(tiny: Outcome) -> None:
    """Ranks 0, 1, none, 0; the items on offer are shown 4, 3 and 1 times."""
    found = figures(tiny).scores[0]
    surprise = [LOG2_3, 0, np.log2(4 / 3), 1, np.log2(5 / 3), np.log2(5 / 3), 1, LOG2_3]
    assert not found.is_baseline
    assert (found.recall10, found.recall20, found.mrr20) == (0.75, 0.75, 0.625)
    assert found.ndcg10 == pytest.approx((2 + 1 / LOG2_3) / 4)
    assert (found.coverage10, found.gini10) == (1, 0.25)
    assert found.novelty10 == pytest.approx(np.mean(surprise))
    assert found.popularity10 == pytest.approx((1 + 1.5 + 2 + 1.5) / 4)
    assert found.diversity10 == pytest.approx(0.25)
    assert (found.seconds, found.requests_per_s) == (2, 2)


def test_the_scores_of_the_baseline(tiny: Outcome) -> None:
    """One hit; items shown 1, 2 and 0 times; no list has a pair that could be alike."""
    found = figures(tiny).scores[1]
    assert found.is_baseline
    assert (found.recall10, found.recall20, found.mrr20, found.ndcg10) == (0.25,) * 4
    assert found.coverage10 == pytest.approx(2 / 3)
    assert found.gini10 == pytest.approx(4 / 9)
    assert found.popularity10 == pytest.approx((2 + 1 + 2) / 3)
    assert found.diversity10 is None


def test_only_the_first_ten_count_for_what_is_shown(outcome_of: Callable[..., Outcome]) -> None:
    """An item at place 11 is found within 20, and neither covered nor hit within 10."""
    behind = [[3] * 10 + [target] for target in (1, 1, 2, 0)]
    found = figures(outcome_of({"product": behind}, [])).scores[0]
    assert (found.recall10, found.recall20, found.ndcg10) == (0, 1, 0)
    assert found.mrr20 == pytest.approx(1 / 11)
    assert found.coverage10 == 0


def test_the_gain_over_the_best_baseline(tiny: Outcome) -> None:
    """Three users are too few for an interval, and the report must not make one up."""
    expected = Comparison(
        contestant="product",
        baseline="fixed",
        recall20=0.75,
        baseline_recall20=0.25,
        absolute=0.5,
        low=None,
        high=None,
        delta_pct=200,
        ci_low=None,
        ci_high=None,
        p=1,
        p_holm=1,
    )
    found = figures(tiny)
    assert found.comparisons == [expected]
    assert found.headline == Headline(
        recall20=0.75,
        mrr20=0.625,
        ndcg10=found.scores[0].ndcg10,
        best_baseline="fixed",
        baseline_recall20=0.25,
        difference=0.5,
        delta_pct=200,
    )


def test_nobody_is_compared_with_one_that_never_played(tiny: Outcome) -> None:
    """However good the popularity behind it is; it stays in the table, and says so."""
    found = figures(replace(tiny, playing={"fixed": Playing(0.0, 0)}))
    assert {each.baseline for each in found.comparisons} == {"silent"}
    assert found.headline is not None
    assert found.headline.best_baseline == "silent"
    assert {each.comparison.baseline for each in found.slices if each.comparison} == {"silent"}
    fixed = next(each for each in found.scores if each.contestant == "fixed")
    assert (fixed.played, fixed.own_share, fixed.trainings) == (False, 0.0, 0)
    nobody = replace(tiny, playing={"fixed": Playing(0.0, 0), "silent": Playing(0.0, 0)})
    assert figures(nobody).headline is None


def test_a_slice_is_compared_with_who_is_best_in_it(outcome_of: Callable[..., Outcome]) -> None:
    """The best of the whole log may be blind for newcomers, where another one is not."""
    lists = {
        "product": [[1], [1], [2], [0]],
        "veteran": [[1], [1], [3], [0]],
        "greeter": [[3], [3], [2], [3]],
    }
    found = figures(outcome_of(lists, ["veteran", "greeter"]))
    best = {(each.group, each.name): each.comparison.baseline for each in found.slices}  # type: ignore[union-attr]
    assert found.headline is not None
    assert found.headline.best_baseline == "veteran"
    assert best["history", "0"] == "greeter"
    assert best["history", "1"] == "veteran"


def test_a_failed_check_leaves_nothing_to_quote(tiny: Outcome) -> None:
    """The tables stay, for whoever looks for the fault."""
    checks = [Check("a", passed=True, found=""), Check("b", passed=False, found="Not so.")]
    found = figures(tiny, checks=checks)
    assert found.headline == Headline(checks_failed=["b"])
    assert found.headline.difference is None
    assert (found.checks, found.checks_failed) == (checks, ["b"])
    assert found.scores
    unknown = figures(tiny, checks=[Check("c", passed=None, found="Too few.")])
    assert unknown.headline == figures(tiny).headline


def test_slices_and_their_gains(tiny: Outcome) -> None:
    """All users and items are cold, which tells nothing apart."""
    found = {
        (each.group, each.name): (each.requests, each.recall20["product"], each.recall20["fixed"])
        for each in figures(tiny).slices
    }
    assert found == {
        ("popularity", "head"): (1, 1, 0),
        ("popularity", "tail"): (3, pytest.approx(2 / 3), pytest.approx(1 / 3)),
        ("history", "0"): (1, 0, 0),
        ("history", "1"): (3, 1, pytest.approx(1 / 3)),
        ("hour, UTC", "6-12 h"): (1, 1, 0),
        ("hour, UTC", "12-18 h"): (1, 1, 1),
        ("hour, UTC", "18-24 h"): (2, 0.5, 0),
    }
    assert all(each.comparison.baseline == "fixed" for each in figures(tiny).slices)


def test_the_curve_follows_the_requests(tiny: Outcome) -> None:
    """Four requests make four windows."""
    curve = figures(tiny).curve
    assert curve.ts_ms == tiny.log.ts_ms[2:].tolist()
    assert curve.recall20["product"] == [1, 1, 0, 1]
    assert curve.recall20["fixed"] == [0, 1, 0, 0]


def test_a_long_curve_has_fifty_windows(tiny: Outcome) -> None:
    """Of equally many requests; every hit is in one of them."""
    many = np.arange(4).repeat(30)
    long = replace(
        tiny,
        events=tiny.events[many],
        targets=tiny.targets[many],
        history_lengths=tiny.history_lengths[many],
        target_counts=tiny.target_counts[many],
        lists={name: lists[many] for name, lists in tiny.lists.items()},
    )
    curve = figures(long).curve
    assert len(curve.ts_ms) == len(curve.recall20["product"]) == 50
    sizes = np.array([3] * 20 + [2] * 30)
    assert sizes @ np.array(curve.recall20["product"]) == pytest.approx(90)
    assert curve.ts_ms == sorted(curve.ts_ms)


@pytest.mark.parametrize(
    ("contestants", "baselines"), [(("product",), []), (("fixed",), ["fixed"])]
)
def test_nobody_to_compare_with(
    contestants: tuple[str, ...], baselines: list[str], outcome_of: Callable[..., Outcome]
) -> None:
    """Scores without a headline."""
    found = figures(outcome_of(dict.fromkeys(contestants, [[1]] * 4), baselines))
    assert [each.recall20 for each in found.scores] == [0.5]
    assert found.headline is None
    assert found.comparisons == []
    assert {each.comparison for each in found.slices} == {None}


def test_a_run_without_requests_is_refused(tiny: Outcome) -> None:
    """Nothing was measured, and nothing must look as if it had been."""
    with pytest.raises(NoRequestError, match="'tiny' holds no request: nobody visits"):
        figures(replace(tiny, events=np.empty(0, np.int64)))


def test_figures_survive_as_json(tiny: Outcome) -> None:
    """What a machine reads is what was computed."""
    found = figures(tiny)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Figures) == found
