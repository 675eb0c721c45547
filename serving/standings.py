"""Who leads: the orders that hold for every user, computed on a short timer, not per request.

Law: a standing is a function of the table and of event time. It is made aside and swapped as one
reference, so that a request sees one standing from its first stage to its last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import SEGMENTS
from online_models.maths.bandit_prior import ClickPrior, learn_click_prior
from online_models.maths.topk import top_k
from online_models.sources import NEW_ITEM_AGE_S, popular_scores, trending_scores
from serving.item_table import ItemTable, Rows
from serving.sources.found import Found

POOL: Final = 2_000  # rows kept of each order: the candidates of a request, and what it filters out
PRIOR_ITEMS: Final = 2_000  # at least so many shown items tell the prior, less than twice as many
_DAY_MS = 86_400_000

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Standings:
    """What leads at one moment.

    Attributes:
        version: version of the table that these were computed from.
        now_ms: event time they hold at.
        popular: by events expected within a day and within a week.
        trending: by how far the last hour exceeds what the week lets expect.
        newest: by creation, at most `NEW_ITEM_AGE_S` old.
        priors: (SEGMENTS,) the bandit's click prior in each segment.
    """

    version: int
    now_ms: int
    popular: Found
    trending: Found
    newest: Found
    priors: list[ClickPrior]


def compute_standings(table: ItemTable, wall_ms: int, priors: list[ClickPrior]) -> Standings:
    """Return the standings of the items that are offered.

    Args:
        table: the item state.
        wall_ms: the time of the clock, by which a new item without events is aged.
        priors: of each segment; they move slowly, and are learned less often.
    """
    rows = np.flatnonzero(table.offered[: table.size])
    now_ms = table.now_ms
    rates = table.rates_at(rows, now_ms)
    significance = trending_scores(rates)
    rising = np.flatnonzero(significance > 0)
    return Standings(
        version=table.version,
        now_ms=now_ms,
        popular=_best(rows, popular_scores(rates, table.interactions[rows])),
        trending=_best(rows[rising], significance[rising]),
        newest=_newest(table, rows, wall_ms),
        priors=priors,
    )


def learn_priors(table: ItemTable) -> list[ClickPrior]:
    """Return the bandit's click prior in each segment.

    A segment where nothing was shown has the prior of a fresh installation.
    """
    return [_learn_prior(table, segment) for segment in range(SEGMENTS)]


def popularity(table: ItemTable, rows: Rows, now_ms: int) -> Floats:
    """Return (n,) how popular rows are at a time."""
    return popular_scores(table.rates_at(rows, now_ms), table.interactions[rows])


def _learn_prior(table: ItemTable, segment: int) -> ClickPrior:
    shown = table.impressions[: table.size, segment] > 0
    rows = np.flatnonzero(table.offered[: table.size] & shown)
    # Evenly among them: those shown most are the best ones, and would promise too much.
    rows = rows[:: max(len(rows) // PRIOR_ITEMS, 1)]
    return learn_click_prior(
        table.impressions[rows, segment], table.clicks[rows, segment], table.codes(rows)
    )


def _newest(table: ItemTable, rows: Rows, wall_ms: int) -> Found:
    created = table.created_ts_ms[rows]
    # In a replayed log "now" is years ago, and what is new is new by the log's own time.
    now_ms = table.now_ms or wall_ms
    recent = created > now_ms - NEW_ITEM_AGE_S * 1000
    rows, created = rows[recent], created[recent]
    return _best(rows, ((created - now_ms) / _DAY_MS).astype(np.float32))


def _best(rows: Rows, scores: Floats) -> Found:
    order = top_k(scores, POOL)
    return Found.of(rows[order], scores[order])
