"""Which of two rankers serves: the trees only where they are better by more than noise.

They cost a request many times what the network does, so that a draw is the network's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from torch import nn

from online_models.maths.accuracy import hits_at, reciprocal_ranks_at
from online_models.maths.intervals import Difference, blocks_of, paired_difference
from online_models.training.budget import Budget
from online_models.training.challenger import LightGBMMissingError, fit_challenger
from online_models.training.exposures import Exposure
from online_models.training.labelled_rows import Population
from online_models.training.log import TrainingLog
from online_models.training.measure import ranker_ranks

_K: Final = 20
_MEASURES: Final = {"mrr_at_20": reciprocal_ranks_at, "recall_at_20": hits_at}


@dataclass(frozen=True, slots=True)
class Choice:
    """Who serves, and why.

    Attributes:
        ranker: the network or the trees.
        chosen: its name, `network` or `trees`.
        others: who else was there, by name.
        metrics: what the manifest says of it.
        remark: the same as a sentence.
    """

    ranker: nn.Module
    chosen: str
    others: dict[str, nn.Module] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=lambda: {"published": "network"})
    remark: str = ""


def challenged(
    network: nn.Module,
    exposures: Sequence[Exposure],
    validation: Sequence[Exposure],
    *,
    log: TrainingLog,
    budget: Budget,
    rng: np.random.Generator,
    population: Population | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> Choice:
    """Return who serves after trees have been grown against a network.

    Where they cannot be grown, the network serves, and the metrics say why it was not challenged.

    Args:
        network: trained on the same exposures.
        exposures: to learn from.
        validation: later ones; they choose the number of trees, as they chose the epoch of the
            network, and then between the two.
        log: that the exposures are of.
        budget: of the trees.
        rng: of the trees, and of the blocks of requests that say what is noise.
        population: see `fit_challenger`.
        report: called with the share that is done.
    """
    try:
        trees = fit_challenger(
            exposures, validation, budget=budget, rng=rng, population=population, report=report
        )
    except LightGBMMissingError as error:
        report(1.0)
        return _unchallenged(network, str(error))
    if trees is None:
        report(1.0)
        return _unchallenged(network, "no exposure teaches trees anything")
    return choose(network, trees, validation, log=log, rng=rng)


def choose(
    network: nn.Module,
    trees: nn.Module,
    exposures: Sequence[Exposure],
    *,
    log: TrainingLog,
    rng: np.random.Generator,
) -> Choice:
    """Return the trees where their reciprocal rank is surely higher and their recall no lower.

    Args:
        network: ranks by default.
        trees: challenges it.
        exposures: that neither has learned from.
        log: that they are of.
        rng: draws the blocks.
    """
    events = np.array([each.event for each in exposures], np.int64)
    blocks = blocks_of(log.user[events], log.ts_ms[events])
    mine, theirs = (ranker_ranks(each, exposures)["ranker"] for each in (trees, network))
    found = {
        name: paired_difference(measure(mine, _K), measure(theirs, _K), blocks, rng)
        for name, measure in _MEASURES.items()
    }
    better = found["mrr_at_20"].low > 0 and found["recall_at_20"].absolute >= 0
    contestants = {"network": network, "trees": trees}
    chosen = "trees" if better else "network"
    ranker = contestants.pop(chosen)
    metrics = {"published": chosen, "trees_minus_network": _figures(found)}
    return Choice(ranker, chosen, contestants, metrics, _sentence(chosen, found))


def _unchallenged(network: nn.Module, reason: str) -> Choice:
    metrics = {"published": "network", "unchallenged": reason}
    return Choice(network, "network", metrics=metrics, remark=f"the network serves: {reason}")


def _figures(found: dict[str, Difference]) -> dict[str, list[float | None]]:
    """Return each difference and its interval; None where too few requests say nothing of it."""
    return {
        name: [
            round(value, 4) if np.isfinite(value) else None
            for value in (each.absolute, each.low, each.high)
        ]
        for name, each in found.items()
    }


def _sentence(chosen: str, found: dict[str, Difference]) -> str:
    """Return what was compared and who serves.

    >>> gain = Difference(0.02, 0.01, 0.03, 0.2, 0.1, 0.3, 0.002)
    >>> _sentence("trees", {"mrr_at_20": gain})
    'the trees serve; trees minus network: mrr_at_20 +0.0200 (+0.0100 to +0.0300)'
    """
    verb = "serve" if chosen == "trees" else "serves"
    differences = ", ".join(
        f"{name} {each.absolute:+.4f} ({_interval(each)})" for name, each in found.items()
    )
    return f"the {chosen} {verb}; trees minus network: {differences}"


def _interval(difference: Difference) -> str:
    low, high = difference.low, difference.high
    return f"{low:+.4f} to {high:+.4f}" if np.isfinite([low, high]).all() else "unknown"
