"""The challenger of the network: trees on the same exposures, behind the same kind of graph.

LambdaMART (Burges 2010, "From RankNet to LambdaRank to LambdaMART") orders the candidates by how
likely a click is; small forests of their own predict the other tasks, each on the rows where it
counts. Later exposures choose the number of trees; what calibrates their sums is what calibrates
the network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from freshet.core.distribution import install_advice
from freshet.core.errors import BundleError, FreshetError
from online_models.artifacts.manifest import RANKER
from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURE_LIMIT, FEATURES
from online_models.tasks import TASKS
from online_models.training.budget import TREE_ROW_S, Budget
from online_models.training.calibration import Calibration, calibrate
from online_models.training.challenger_graph import forest_graph
from online_models.training.challenger_rows import Lists, Rows, rows_of_task
from online_models.training.export import PARITY_ROWS, PARITY_TOLERANCE
from online_models.training.exposures import Exposure
from online_models.training.labelled_rows import Population
from online_models.training.networks import marginal

MOST_TREES: Final = 200
MOST_TREES_BESIDE_CLICK: Final = 40
"""Of each task, so that the candidates of a request are ranked in the time that the gate allows."""

_PATIENCE: Final = 20  # trees without progress before a forest is whole
_SEED: Final = 11
_PARAMETERS: Final[dict[str, Any]] = {
    "learning_rate": 0.1,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "use_missing": False,  # every feature is finite
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_CLICK: Final = _PARAMETERS | {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 30,
    "metric": "ndcg",
    "eval_at": [20],
    "num_leaves": 15,
    "min_data_in_leaf": 300,
}
_BESIDE_CLICK: Final = _PARAMETERS | {
    "objective": "binary",
    "metric": "binary_logloss",
    "boost_from_average": False,  # it starts at the base rate, which the calibration adds
    "num_leaves": 7,
    "min_data_in_leaf": 50,
}

Floats = NDArray[np.float32]
Booster = Any
"""LightGBM's, which asks its best iterations alone; None stands for a task without trees."""


class LightGBMMissingError(FreshetError):
    """A challenger was asked for where LightGBM cannot be imported.

    Attributes:
        reason: what the import said.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"trees need lightgbm ({reason}); {install_advice('train')}; "
            "without it the network has no challenger"
        )
        self.reason = reason


class TreeRanker(nn.Module):
    """A ranker of trees, called as the network is; it is a graph already.

    Attributes:
        graph: ONNX, `features` (n, F) to the probabilities.
        on_shown: whether its probabilities are of what is shown; else of what comes next.
    """

    def __init__(self, graph: bytes, *, on_shown: bool = False) -> None:
        super().__init__()
        self.graph = graph
        self.on_shown = on_shown
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / RANKER
            path.write_bytes(graph)
            self._model = OnnxModel(path)

    def forward(self, features: Tensor) -> Tensor:
        """Return the probabilities of (n, F) features."""
        return torch.from_numpy(self._model(features=features.numpy()))


def fit_challenger(
    exposures: Sequence[Exposure],
    validation: Sequence[Exposure],
    *,
    budget: Budget,
    rng: np.random.Generator,
    population: Population | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> TreeRanker | None:
    """Return a ranker of trees whose scores are probabilities; None with nothing to learn from.

    A task that happened too seldom, or nearly always, stays at its base rate, as in the network.

    Args:
        exposures: to learn from; those whose target no source found teach nothing.
        validation: later ones, to choose the number of trees and to calibrate.
        budget: of rows; when it is spent, the tree is the last.
        rng: shuffles the candidates and seeds the trees.
        population: what the tasks are learned from and calibrated by; that of the exposures where
            it is None.
        report: told the share that is done.

    Raises:
        LightGBMMissingError: there is nothing to grow trees with.
        BundleError: the graph answers otherwise than the trees do.
    """
    lightgbm = _lightgbm()
    lists, held_out = Lists.of(exposures, rng), Lists.of(validation, rng)
    if lists is None or held_out is None:
        return None
    population = population or Population.of(exposures, validation)
    usual = population.usual
    common = {"num_threads": torch.get_num_threads(), "seed": int(rng.integers(2**31))}
    grow = _Grower(lightgbm, common, budget)
    boosters = [grow(_CLICK, MOST_TREES, lists.clicks(), held_out.clicks(), report)]
    for task in range(1, len(TASKS)):
        if not population.learnable[task]:
            boosters.append(None)
            continue
        start = float(usual.intercepts[task])
        parts = (population.early, population.late)
        learned, later = (rows_of_task(each, task, start) for each in parts)
        boosters.append(grow(_BESIDE_CLICK, MOST_TREES_BESIDE_CLICK, learned, later))
    late = population.late
    scores = _scores(boosters, late.features.numpy())
    lines = calibrate(scores, late.labels, usual, late.rows)
    forests = [_trees(booster) for booster in boosters]
    graph = forest_graph(forests, lines.slopes.numpy(), lines.intercepts.numpy())
    ranker = TreeRanker(graph, on_shown=population.on_shown)
    _compare(ranker, boosters, lines, held_out.features[:PARITY_ROWS])
    report(1.0)
    return ranker


class _Grower:
    """Grows forests within one budget."""

    def __init__(
        self,
        lightgbm: ModuleType,
        parameters: dict[str, Any],
        budget: Budget,
    ) -> None:
        self._lightgbm = lightgbm
        self._parameters = parameters
        self._budget = budget

    def __call__(
        self,
        parameters: dict[str, Any],
        most: int,
        rows: Rows,
        held_out: Rows,
        report: Callable[[float], None] = lambda _: None,
    ) -> Booster:
        """Return the booster whose first trees foresee best; None where it is best without."""
        parameters = parameters | self._parameters
        learned = self._lightgbm.Dataset(**rows.columns(), params=parameters)
        booster = self._lightgbm.Booster(parameters, learned)
        booster.add_valid(
            self._lightgbm.Dataset(**held_out.columns(), params=parameters, reference=learned),
            "held out",
        )
        best, kept = _reached(booster), 0
        for number in range(1, most + 1):
            if self._budget.over() or number - kept > _PATIENCE:
                break
            if booster.update():
                break  # nothing is left to split
            self._budget.spend((len(rows.labels) + len(held_out.labels)) * TREE_ROW_S)
            if (reached := _reached(booster)) > best:
                best, kept = reached, number
            report(number / most)
        booster.best_iteration = kept
        return booster if kept else None


def _reached(booster: Booster) -> float:
    """Return how well the trees foresee what was held out, bigger is better."""
    [(_, _, value, bigger_is_better)] = booster.eval_valid()
    return float(value if bigger_is_better else -value)


def _scores(boosters: Sequence[Booster], features: Floats) -> Tensor:
    """Return (n, T) scores of (n, F) features, 0 for a task without trees."""
    scores = np.zeros((len(features), len(TASKS)), np.float32)
    for task, booster in enumerate(boosters):
        if booster is not None:
            scores[:, task] = booster.predict(features, raw_score=True)
    return torch.from_numpy(scores)


def _trees(booster: Booster) -> list[dict[str, Any]]:
    """Return the roots of the trees of a booster."""
    if booster is None:
        return []
    return [each["tree_structure"] for each in booster.dump_model()["tree_info"]]


def _compare(
    ranker: TreeRanker, boosters: Sequence[Booster], lines: Calibration, known: Floats
) -> None:
    """Compare the graph with the trees it was made of, over known rows and as many at random.

    Raises:
        BundleError: when it answers otherwise.
    """
    drawn = 2 * np.random.default_rng(_SEED).normal(size=(PARITY_ROWS, len(FEATURES)))
    drawn = drawn.clip(-FEATURE_LIMIT, FEATURE_LIMIT).astype(np.float32)
    rows = np.concatenate([known, drawn])
    expected = marginal(lines(_scores(boosters, rows)))
    difference = float((ranker(torch.from_numpy(rows)) - expected).abs().max())
    if not difference <= PARITY_TOLERANCE:
        raise BundleError(
            RANKER,
            f"the graph is {difference:.2g} off the trees, expected at most {PARITY_TOLERANCE:g}",
        )


def _lightgbm() -> ModuleType:
    """Return the library; torch comes before it and brings the OpenMP that both compute with.

    Raises:
        LightGBMMissingError: it, or a library of the system that it needs, is not there.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise LightGBMMissingError(str(error)) from error
    library: ModuleType = lightgbm
    return library
