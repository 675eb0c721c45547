"""A ranker back from its graph, to learn on from where it serves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURES
from online_models.tasks import TASKS
from online_models.training.calibration import Calibration
from online_models.training.networks import CalibratedRanker, Ranker

_PROBES: Final = 1_024
_SEED: Final = 5
_MOST_ODDS: Final = 8.0  # beyond it, a probability in float32 says little of its log-odds
_TOLERANCE: Final = 1e-3  # in probability
_MOST_FITTED: Final = 1_000  # weights

log = logging.getLogger(__name__)


def restore_ranker(path: Path) -> CalibratedRanker | None:
    """Return the ranker whose graph is in `path`; None where it is none of ours.

    Its slate head is `read_slate_head`'s.

    Weights keep their names in the graph, except for what the exporter folds into constants:
    single numbers, biases that are zero, and slopes that are one. The weights among these few are
    fitted to the graph's answers, and the whole is compared with it.
    """
    n, tasks = len(FEATURES), len(TASKS)
    ranker = Ranker(np.zeros(n, np.float32), np.ones(n, np.float32))
    restored = CalibratedRanker(ranker, Calibration(torch.ones(tasks), torch.zeros(tasks)))
    named = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    state = restored.state_dict()
    found = {
        name: torch.from_numpy(named[name].copy())
        for name, value in state.items()
        if name in named and named[name].shape == tuple(value.shape)
    }
    missing = {name for name, each in restored.named_parameters() if name not in found}
    if sum(state[name].numel() for name in missing) > _MOST_FITTED:
        log.warning("the ranker in use has other weights than ours; learning begins anew")
        return None
    restored.load_state_dict(state | found)
    generator = torch.Generator().manual_seed(_SEED)
    probes = torch.randn(_PROBES, n, generator=generator) * 2
    expected = torch.from_numpy(OnnxModel(path)(features=probes.numpy())[:, :tasks])
    _fit(restored, missing, probes, expected)
    with torch.no_grad():
        difference = float((restored(probes) - expected).abs().max())
    if not difference <= _TOLERANCE:
        log.warning(
            "the ranker in use answers %.2g otherwise than its weights, expected at most %g; "
            "learning begins anew",
            difference,
            _TOLERANCE,
        )
        return None
    return restored


def _fit(restored: CalibratedRanker, missing: set[str], probes: Tensor, expected: Tensor) -> None:
    """Fit what the graph does not name to the clicks that it foresees."""
    restored.eval()
    for name, each in restored.named_parameters():
        each.requires_grad_(name in missing)
        if name in missing and name.endswith("bias"):
            nn.init.zeros_(each)
    fitted = [each for each in restored.parameters() if each.requires_grad]
    odds = torch.logit(expected[:, 0].double())
    known = odds.abs() < _MOST_ODDS
    if fitted and known.any():
        optimiser = torch.optim.LBFGS(
            fitted, max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-12
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            log_odds = restored.calibration(restored.ranker(probes[known]))[:, 0]
            loss = (log_odds - odds[known]).square().mean()
            loss.backward()
            return loss

        optimiser.step(closure)
    restored.requires_grad_(True)
