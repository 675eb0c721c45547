"""The trees serve where they are better by more than noise, and only there."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from online_models.features import FEATURES, SOURCES
from online_models.training import challenger_choice
from online_models.training.budget import Budget
from online_models.training.challenger import LightGBMMissingError
from online_models.training.challenger_choice import Choice, challenged, choose
from online_models.training.exposures import Exposure
from online_models.training.log import TrainingLog

pytestmark = pytest.mark.training

_RIGHT = 5  # the feature that is highest for the target


class Column(nn.Module):
    """Ranks by one feature."""

    def __init__(self, column: int) -> None:
        super().__init__()
        self.column = column

    def forward(self, features: Tensor) -> Tensor:
        """Return the feature for every task."""
        return torch.sigmoid(features[:, [self.column] * 3])


@pytest.fixture(scope="module")
def log(random_log: Callable[..., TrainingLog]) -> TrainingLog:
    return random_log(3, users=200)


def some_exposures(n: int) -> list[Exposure]:
    rng = np.random.default_rng(0)
    found = []
    for event in range(n):
        features = rng.normal(size=(40, len(FEATURES))).astype(np.float16)
        ranks = np.zeros((40, len(SOURCES)), np.int16)
        found.append(Exposure(event, int(features[:, _RIGHT].argmax()), features, ranks))
    return found


def between(network: nn.Module, trees: nn.Module, n: int, log: TrainingLog) -> Choice:
    return choose(network, trees, some_exposures(n), log=log, rng=np.random.default_rng(0))


def test_better_trees_serve(log: TrainingLog) -> None:
    """Their figures and the network's stand in the manifest."""
    network, trees = Column(0), Column(_RIGHT)
    choice = between(network, trees, 200, log)
    assert choice.ranker is trees
    assert choice.others == {"network": network}
    assert choice.metrics["published"] == "trees"
    gain, low, high = choice.metrics["trees_minus_network"]["mrr_at_20"]
    assert 0 < low < gain < high
    assert choice.remark.startswith("the trees serve; trees minus network: mrr_at_20 +0.")


@pytest.mark.parametrize("trees", [Column(_RIGHT), Column(0)])
def test_equal_or_worse_trees_do_not(trees: nn.Module, log: TrainingLog) -> None:
    """They take longer, so a draw is the network's."""
    network = Column(_RIGHT)
    choice = between(network, trees, 200, log)
    assert choice.ranker is network
    assert choice.others == {"trees": trees}
    assert choice.metrics["published"] == "network"


def test_too_few_requests_are_noise(log: TrainingLog) -> None:
    """However much better the trees look; an interval that is unknown is said to be."""
    choice = between(Column(0), Column(_RIGHT), 3, log)
    assert choice.metrics["published"] == "network"
    assert choice.metrics["trees_minus_network"]["mrr_at_20"][1:] == [None, None]
    assert "(unknown)" in choice.remark


def test_a_missed_target_is_a_miss_for_both(log: TrainingLog) -> None:
    """It counts as a request and tells nothing."""
    missed = [replace(each, target=-1) for each in some_exposures(200)]
    choice = choose(Column(0), Column(_RIGHT), missed, log=log, rng=np.random.default_rng(0))
    assert choice.metrics["trees_minus_network"]["mrr_at_20"] == [0.0, 0.0, 0.0]
    assert choice.metrics["published"] == "network"


def challenge(exposures: list[Exposure], log: TrainingLog, network: nn.Module) -> Choice:
    return challenged(
        network,
        exposures[: len(exposures) * 2 // 3],
        exposures[len(exposures) * 2 // 3 :],
        log=log,
        budget=Budget.of(60, now=lambda: 0.0),
        rng=np.random.default_rng(0),
    )


def test_trees_are_grown_and_chosen(log: TrainingLog) -> None:
    """Against a network that ranks by noise."""
    network = Column(0)
    choice = challenge(some_exposures(300), log, network)
    assert choice.metrics["published"] == "trees"
    assert choice.others == {"network": network}


def test_nothing_to_learn_from_leaves_the_network(log: TrainingLog) -> None:
    """And the metrics say why."""
    network = Column(0)
    choice = challenge([], log, network)
    assert choice.ranker is network
    assert not choice.others
    assert "no exposure" in choice.metrics["unchallenged"]


def test_without_lightgbm_training_goes_on(
    log: TrainingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network serves; manifest and remark say what to install."""

    def missing(*_: object, **__: object) -> None:
        raise LightGBMMissingError("no module named lightgbm")

    monkeypatch.setattr(challenger_choice, "fit_challenger", missing)
    network = Column(0)
    choice = challenge(some_exposures(3), log, network)
    assert choice.ranker is network
    assert choice.metrics["published"] == "network"
    assert "pip install" in choice.metrics["unchallenged"]
    assert "pip install" in choice.remark
