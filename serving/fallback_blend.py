"""The order without a ranker: a blend of what the sources found and of popularity at each pace.

Law: pure functions of the request and of the blend in use. The ranker's feature `fused_rank` is
none of this: it keeps the fixed weights, because a feature that drifts would be another feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.features import RANK_SOFTENING, SOURCE_WEIGHTS, SOURCES
from online_models.maths.source_blend import order_ranks, reciprocal_ranks
from online_models.maths.topk import top_k
from online_models.sources import ORDERS, order_scores
from serving.item_table import ItemTable
from serving.sources.found import Union
from serving.standings import popularity

LISTS: Final = (*SOURCES, *ORDERS)
"""The lists that are blended: the sources, and orders of all candidates of a request."""

POWERS: Final = (1.0, 2.0, 4.0)
"""Powers of the hit rates by which the learned blends weigh the lists."""

OPTIONS: Final = (
    "fixed",
    *LISTS,
    *(f"learned{power:g}" for power in POWERS),
    *(f"personal{power:g}" for power in POWERS),
)
"""Names of the options, in the order of `online_models.maths.source_blend.blend_weights`."""

ALL: Final = np.ones(len(LISTS), bool)

FIXED_WEIGHTS: Final = np.append(SOURCE_WEIGHTS, np.zeros(len(ORDERS)))
"""(A,) what the lists weigh where nothing was learned."""

_POPULAR: Final = SOURCES.index("popular")
_FAMILY_OF: Final = {
    "popular": "popular",
    "interactions": "popular",
    **{name: "popular" for name in ORDERS if name.startswith("rate_")},
    **{name: "trending" for name in ("trending", *ORDERS) if name.startswith(("tr", "rising_"))},
}
_NAMES: Final = [_FAMILY_OF.get(name, name) for name in LISTS]
FAMILIES: Final = np.array([_NAMES.index(name) for name in _NAMES])
"""(A,) the family of each list, by the number of its first member."""

PERSONAL: Final = ~np.isin(_NAMES, ["popular", "trending", "new"])
"""(A,) whether a list depends on what its person did."""

SOURCE_OF: Final = np.array([SOURCES.index(_FAMILY_OF.get(name, name)) for name in LISTS])
"""(A,) the source that an item is shown under when the list has led to it."""


@dataclass(frozen=True, slots=True)
class Blend:
    """What the lists weigh, where no ranker orders the candidates.

    Attributes:
        name: of `OPTIONS`.
        weights: (A,) weight of each of `LISTS`, >= 0.
    """

    name: str
    weights: NDArray[np.float64]


FIXED: Final = Blend("fixed", FIXED_WEIGHTS)
"""What is in use before anything was learned."""


def list_parts(
    table: ItemTable, union: Union, now_ms: int, used: NDArray[np.bool_] = ALL
) -> NDArray[np.float64]:
    """Return (n, A) what each of `LISTS` says of each candidate: its reciprocal rank, or 0.

    Args:
        table: the item state.
        union: the n candidates.
        now_ms: event time of the request.
        used: (A,) the lists that are looked at; the others say 0.
    """
    ranks = np.full((len(union), len(LISTS)), -1)
    ranks[:, : len(SOURCES)] = np.where(used[: len(SOURCES)], union.ranks, -1)
    if (orders := np.flatnonzero(used[len(SOURCES) :])).size:
        rates = table.rates_at(union.rows, now_ms)
        scores = order_scores(rates, table.interactions[union.rows])[:, orders]
        ranks[:, len(SOURCES) + orders] = order_ranks(scores)
    return reciprocal_ranks(ranks, RANK_SOFTENING)


def blended(
    table: ItemTable, union: Union, now_ms: int, blend: Blend
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the (n,) scores of the candidates by a blend, and the (n,) source of each.

    A score is the reciprocal rank in the order of the blend, whatever its weights are: what lowers
    the scores of some candidates then moves them alike under every blend.
    The source is the one whose list contributed most; `popular` for what no list ranks.

    Args:
        table: the item state.
        union: the n candidates.
        now_ms: event time of the request.
        blend: what the lists weigh.
    """
    if blend is FIXED:  # the order in which the candidates come
        return _fused(table, union, now_ms).astype(np.float32), union.best_source()
    parts = list_parts(table, union, now_ms, blend.weights > 0) * blend.weights
    sources = np.where(parts.any(axis=1), SOURCE_OF[parts.argmax(axis=1)], _POPULAR)
    scores = np.empty(len(union))
    scores[top_k(parts.sum(axis=1), len(union))] = 1 / (RANK_SOFTENING + np.arange(len(union)))
    return scores.astype(np.float32), sources


def _fused(table: ItemTable, union: Union, now_ms: int) -> NDArray[np.float64]:
    """Return the (n,) fused scores; what no source found follows the last found, by popularity.

    Its fused score is 0, of which no aversion could take anything away.
    """
    unfound = np.flatnonzero(~union.is_found)
    if not unfound.size:
        return union.fused
    scores = union.fused.copy()
    order = top_k(popularity(table, union.rows[unfound], now_ms), len(unfound))
    last = union.fused.min(where=union.is_found, initial=1.0)
    places = RANK_SOFTENING + 1 + np.arange(len(unfound))
    scores[unfound[order]] = last * RANK_SOFTENING / places
    return scores
