"""How long the models of a bundle work for one list, on the machine that asks.

Processor time, and the least of several runs: a machine that is busy with something else does not
refuse a good bundle. That of the thread: sessions compute on the calling one, and the clock of a
process goes by ticks of milliseconds once its processor time is limited.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Final

from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.checks.models import CANDIDATES, candidates, contents, histories

_RUNS: Final = 5
_NEIGHBOURS: Final = 200
_NEW_ITEMS: Final = 32


def check_latency(
    folder: Path, bundle: Bundle, list_ms: float, *, now_s: Callable[[], float] = thread_time
) -> None:
    """Measure what serving does for one list, and for one new item.

    Args:
        folder: the bundle.
        bundle: as it was opened.
        list_ms: processor time that each may take.
        now_s: processor time of this thread so far.

    Raises:
        BundleError: it takes longer.
    """
    features, asked, content = candidates(CANDIDATES), histories(1), contents(_NEW_ITEMS)
    vector = bundle.item_vectors[0]
    found_ms = {
        "its ranker": _least_ms(lambda: bundle.ranker(features=features), now_s, list_ms),
        "its encoder": _least_ms(lambda: bundle.encoder(**asked), now_s, list_ms),
        "its index": _least_ms(lambda: bundle.nearest(vector, _NEIGHBOURS), now_s, list_ms),
    }
    slowest = max(found_ms, key=lambda name: found_ms[name])
    if (total_ms := sum(found_ms.values())) > list_ms:
        raise BundleError(
            folder,
            f"it takes {total_ms:.1f} ms of processor time for a list of {CANDIDATES} candidates, "
            f"most of it {slowest}, expected at most {list_ms:g} ms (setting `model_budget_ms`)",
        )
    item_ms = (
        _least_ms(lambda: bundle.item_tower(content=content), now_s, _NEW_ITEMS * list_ms)
        / _NEW_ITEMS
    )
    if item_ms > list_ms:
        raise BundleError(
            folder,
            f"its item tower takes {item_ms:.1f} ms of processor time for an item, "
            f"expected at most {list_ms:g} ms (setting `model_budget_ms`)",
        )


def _least_ms(work: Callable[[], object], now_s: Callable[[], float], enough_ms: float) -> float:
    """Return the least time of several runs; of two, where it is far above what is allowed."""
    least_ms = float("inf")
    for run in range(_RUNS):
        started_s = now_s()
        work()
        least_ms = min(least_ms, (now_s() - started_s) * 1000)
        if run and least_ms > 3 * enough_ms:
            break
    return least_ms
