"""The slate head learns what of a slate is clicked, and is kept where the click knows it worse."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from online_models.features import FEATURES
from online_models.tasks import COLUMNS, SLATE, TASKS
from online_models.training.budget import Budget
from online_models.training.calibration import LEAST_LABELS
from online_models.training.labelled_rows import LabelledRows
from online_models.training.shown import Shown
from online_models.training.slate_head import (
    HeadChoice,
    RankerColumns,
    SlateHead,
    choose_head,
    surely_better,
)
from online_models.training.slate_loss import aucs_within_slates

pytestmark = pytest.mark.training

_SIGNAL = FEATURES.index("click_rate_z")
_OTHER = FEATURES.index("momentum_z")
_SHARED = FEATURES.index("idle")


class ByOne(torch.nn.Module):
    """A ranker whose click is one feature."""

    def __init__(self, column: int) -> None:
        super().__init__()
        self.column = column

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(features[:, self.column, None]).expand(-1, len(TASKS))


def some_slates(n: int, seed: int, strength: float = 2.0) -> list[Shown]:
    """Slates of two to eight, of which one feature says what is clicked; another one when."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        size = int(rng.integers(2, 9))
        features = np.zeros((size, len(FEATURES)), np.float16)
        features[:, [_SIGNAL, _OTHER]] = rng.normal(size=(size, 2))
        features[:, _SHARED] = rng.normal()
        odds = np.exp(strength * features[:, _SIGNAL].astype(np.float64))
        clicked = np.arange(size) == rng.choice(size, p=odds / odds.sum())
        found.append(Shown(0, features, clicked[:, None] & (np.arange(len(TASKS)) == 0)))
    return found


def chosen(
    early: Sequence[Shown], later: Sequence[Shown], ranker: torch.nn.Module | None = None
) -> HeadChoice:
    rng, budget = np.random.default_rng(0), Budget.of(60)
    return choose_head(ranker or ByOne(_OTHER), early, later, budget=budget, rng=rng)


def auc_of(head: SlateHead | None, slates: Sequence[Shown]) -> float:
    assert head is not None
    rows = LabelledRows.of_shown(slates)
    with torch.no_grad():
        return float(aucs_within_slates(head(rows.features), rows).mean())


def test_it_orders_slates_that_the_click_does_not() -> None:
    """And says how well, beside the click, on slates that it has not seen."""
    choice = chosen(some_slates(400, 1), some_slates(200, 2))
    assert auc_of(choice.head, some_slates(300, 3)) > 0.85
    assert choice.metrics["kept"]
    assert choice.metrics["auc_of_head"] > 0.8
    assert choice.metrics["auc_of_click"] == pytest.approx(0.5, abs=0.1)
    assert choice.metrics["slates"] == 100
    assert choice.epochs > 0


def test_where_the_click_orders_slates_as_well_it_stays() -> None:
    """More than noise is asked for, on both sides of the question."""
    for strength in (2.0, 0.0):
        parts = some_slates(300, 1, strength), some_slates(200, 2, strength)
        choice = chosen(*parts, ByOne(_SIGNAL))
        assert choice.head is None
        assert not choice.metrics["kept"]


def test_the_newest_slates_decide() -> None:
    """A head whose epoch older ones chose well is refused where they say the contrary."""
    older, newer = some_slates(150, 2), some_slates(150, 3, -2.0)
    assert chosen(some_slates(300, 1), [*older, *newer]).head is None
    assert chosen(some_slates(300, 1), [*newer, *older]).head is None  # no epoch is any good


def test_few_slates_teach_nothing() -> None:
    """None, too few in one of the parts, or enough of which all were clicked alike."""
    alike = [Shown(0, each.features, each.labels & False) for each in some_slates(200, 1)]
    few = some_slates(LEAST_LABELS - 1, 4)
    for early, later in (([], []), (few, some_slates(200, 2)), (some_slates(200, 1), 2 * few[:20])):
        assert chosen(early, later).head is None
    assert chosen(alike, some_slates(200, 2)).metrics == {"kept": False, "slates": 100}


def test_without_a_budget_the_click_orders_slates() -> None:
    """A head that learned nothing is none; one that cannot learn again stays as it is."""
    nothing, rng = Budget.of(0), np.random.default_rng(0)
    parts = some_slates(300, 1), some_slates(200, 2)
    assert choose_head(ByOne(_OTHER), *parts, budget=nothing, rng=rng).head is None
    choice = chosen(*parts)
    assert choice.again(parts[0], budget=nothing, rng=rng) is choice.head
    assert HeadChoice().again(parts[0], budget=Budget.of(60), rng=rng) is None


def test_what_is_kept_learns_from_the_newest_too() -> None:
    """A signal that only they hold is learned then."""
    choice = chosen(some_slates(300, 1), some_slates(200, 2))
    turned = [
        Shown(0, np.roll(each.features, 1, axis=1), each.labels) for each in some_slates(300, 3)
    ]
    again = choice.again(turned, budget=Budget.of(60), rng=np.random.default_rng(0))
    assert auc_of(again, turned) > 0.8
    assert auc_of(choice.head, turned) < 0.6


def test_what_a_slate_shares_cancels_out() -> None:
    """Where nothing depends on it, it changes scores of a slate next to alike."""
    head = chosen(some_slates(400, 1), some_slates(200, 2)).head
    assert head is not None
    features = torch.from_numpy(some_slates(1, 5)[0].features.astype(np.float32))
    other = features.clone()
    other[:, _SHARED] += 1
    with torch.no_grad():
        moved = head(other) - head(features)
        assert float(moved.std()) < 0.3 * float(head(features).std())


def test_it_leaves_the_draws_of_others_alone() -> None:
    """And draws the same, whatever they drew before."""
    parts, heads = (some_slates(60, 1), some_slates(90, 2)), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        expected = torch.rand(3)
        torch.manual_seed(seed)
        rng, budget = np.random.default_rng(0), Budget.of(60)
        heads.append(choose_head(ByOne(_OTHER), *parts, budget=budget, rng=rng).head)
        assert torch.equal(torch.rand(3), expected)
    assert auc_of(heads[0], parts[1]) == auc_of(heads[1], parts[1]) > 0.7


def test_a_budget_is_spent() -> None:
    """By what it learns and what it is asked."""
    budget = Budget.of(60)
    rng = np.random.default_rng(0)
    choose_head(ByOne(_OTHER), some_slates(200, 1), some_slates(100, 2), budget=budget, rng=rng)
    assert 0.01 < budget.spent_s < 5


def test_the_gate_asks_for_more_than_noise() -> None:
    """Of enough slates."""
    rng = np.random.default_rng(0)
    before, noise = rng.uniform(0, 1, 400), rng.normal(0, 0.2, 400)
    noise -= noise.mean()
    for gain, expected in ((0.05, True), (0.005, False), (-0.05, False)):
        assert surely_better(before + noise + gain, before) is expected
    few = LEAST_LABELS - 1
    assert not surely_better(before[:few] + 0.1, before[:few])


def test_the_columns_are_those_of_the_tasks_and_the_slate() -> None:
    """Without a head the click's once more."""
    features = torch.randn(9, len(FEATURES))
    head = SlateHead(np.zeros(len(FEATURES), np.float32), np.ones(len(FEATURES), np.float32))
    torch.nn.init.normal_(head.layers[-1].weight)
    ranker = ByOne(_OTHER)
    with torch.no_grad():
        for each in (head.eval(), None):
            found = RankerColumns(ranker, each)(features)
            assert found.shape == (9, len(COLUMNS))
            assert torch.equal(found[:, :SLATE], ranker(features))
            wanted = found[:, 0] if each is None else torch.sigmoid(head(features))
            assert torch.equal(found[:, SLATE], wanted)
