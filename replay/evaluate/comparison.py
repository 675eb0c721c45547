"""How much more a contestant foresees than a fixed method, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.maths.intervals import (
    Difference,
    blocks_of,
    holm,
    most_cautious,
    paired_difference,
)
from replay.evaluate.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """Recall@20 of a contestant beside that of a baseline; None is what cannot be said.

    Attributes:
        contestant: its name.
        baseline: the name of what it is compared with.
        recall20: of the contestant.
        baseline_recall20: of the baseline.
        absolute: the difference, 1 = all requests.
        low: of the interval of `absolute`.
        high: likewise.
        delta_pct: the difference relative to the baseline.
        ci_low: of the interval of `delta_pct`.
        ci_high: likewise.
        p: two-sided.
        p_holm: the same, corrected for all contestants that are compared on the log.
    """

    contestant: str
    baseline: str
    recall20: float
    baseline_recall20: float
    absolute: float
    low: float | None
    high: float | None
    delta_pct: float | None
    ci_low: float | None
    ci_high: float | None
    p: float
    p_holm: float


def compare(
    outcome: Outcome,
    hits: Mapping[str, NDArray[np.float64]],
    contestants: Sequence[str],
    baseline: str | None,
    seed: int,
    mask: NDArray[np.bool_] | None = None,
) -> list[Comparison]:
    """Return the comparison of each contestant with one baseline.

    Args:
        outcome: the requests.
        hits: by contestant, (n,) 1 where its list held the target.
        contestants: who is compared.
        baseline: with whom; without one, there is nothing to compare.
        seed: of the resampling; all comparisons draw alike.
        mask: (n,) bool, the requests that count; None = all.
    """
    if baseline is None:
        return []
    kept = np.ones(len(outcome.events), bool) if mask is None else mask
    events = outcome.events[kept]
    users, ts_ms = outcome.log.user[events], outcome.log.ts_ms[events]
    mine, theirs = {name: hits[name][kept] for name in contestants}, hits[baseline][kept]
    found = {
        name: cautious_difference(values, theirs, users, ts_ms, seed)
        for name, values in mine.items()
    }
    corrected = holm(np.array([each.p for each in found.values()]))
    return [
        Comparison(
            contestant=name,
            baseline=baseline,
            recall20=float(mine[name].mean()),
            baseline_recall20=float(theirs.mean()),
            absolute=each.absolute,
            low=finite(each.low),
            high=finite(each.high),
            delta_pct=finite(100 * each.relative),
            ci_low=finite(100 * each.relative_low),
            ci_high=finite(100 * each.relative_high),
            p=each.p,
            p_holm=float(p_holm),
        )
        for (name, each), p_holm in zip(found.items(), corrected, strict=True)
    ]


def cautious_difference(
    mine: NDArray[np.float64],
    theirs: NDArray[np.float64],
    users: NDArray[np.int64],
    ts_ms: NDArray[np.int64],
    seed: int,
) -> Difference:
    """Return mean(mine) - mean(theirs) with the wider one of two intervals.

    One is made from blocks of users on a day, one from whole users: the first catches days on
    which all goes well, the second people with whom all goes well.

    Args:
        mine: (n,) values.
        theirs: (n,) values of the same requests.
        users: (n,) numbers of their users.
        ts_ms: (n,) their event times.
        seed: of the resampling; equal seeds draw alike.
    """
    return most_cautious(
        [
            paired_difference(mine, theirs, blocks, np.random.default_rng(seed))
            for blocks in (blocks_of(users, ts_ms), users)
        ]
    )


def finite(value: float) -> float | None:
    """Return a figure, None where it cannot be said."""
    return value if math.isfinite(value) else None
