"""What each contestant of a run reached: how right its lists were, and what else they were like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from freshet.core.events.schema import INTERACTION
from online_models.content import encode_content
from online_models.maths.accuracy import mrr_at, ndcg_at, recall_at
from online_models.maths.beyond_accuracy import (
    counts_before,
    coverage,
    diversity,
    exposures,
    gini,
    novelty,
    popularity,
)
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog
from replay.evaluate.outcome import Outcome

TOP: Final = 10  # length of the lists whose coverage, novelty and diversity are measured

_ENCODED_AT_ONCE: Final = 4_096  # items; their bags are dense while they are made


@dataclass(frozen=True, slots=True)
class Scores:
    """What one contestant reached; the number behind a name is the length of the lists.

    Attributes:
        contestant: its name.
        is_baseline: it is a fixed method, to be beaten.
        recall10: share of requests whose target is in the list; one target, so also the hit rate.
        recall20: likewise.
        mrr20: mean of 1 / place of the target.
        ndcg10: mean normalised discounted gain of the target.
        coverage10: share of the items on offer that were recommended at least once.
        gini10: how unequally the items on offer were recommended, 0 = all alike.
        novelty10: mean surprise of a recommended item, in bits.
        diversity10: 1 - mean cosine of the contents of two items of a list; None without content.
        popularity10: mean interactions with a recommended item before the request.
        seconds: of learning and answering, all together.
        requests_per_s: requests over `seconds`.
        own_share: share of the lists that its own idea filled, and not only popularity behind it;
            None where that is not known.
        trainings: of its model; None without one.
        played: whether any of its lists was its own; a baseline that never played is none to be
            compared with.
    """

    contestant: str
    is_baseline: bool
    recall10: float
    recall20: float
    mrr20: float
    ndcg10: float
    coverage10: float
    gini10: float
    novelty10: float
    diversity10: float | None
    popularity10: float
    seconds: float
    requests_per_s: float
    own_share: float | None
    trainings: int | None
    played: bool


def scores_of(
    outcome: Outcome, histories: Histories, ranks: Mapping[str, NDArray[np.int64]]
) -> list[Scores]:
    """Return the scores of all contestants, the best by Recall@20 first.

    Args:
        outcome: with one request at least.
        histories: of its log.
        ranks: by contestant, (n,) ranks of the targets.
    """
    log = outcome.log
    asked_at = histories.asked_at[outcome.events]
    offered = histories.available(int(outcome.events[-1]))  # whatever existed before still does
    interactions = np.flatnonzero(INTERACTION[log.kind])
    known = np.searchsorted(interactions, asked_at)  # (n,) interactions before each request
    content = _content(log)
    scores = []
    for name, whole in outcome.lists.items():
        lists, playing = whole[:, :TOP], outcome.playing.get(name)
        counts = counts_before(log.item[interactions], interactions, lists, asked_at)
        shown = exposures(lists, len(log.items))[offered]
        scores.append(
            Scores(
                contestant=name,
                is_baseline=name in outcome.baselines,
                recall10=recall_at(ranks[name], 10),
                recall20=recall_at(ranks[name], 20),
                mrr20=mrr_at(ranks[name], 20),
                ndcg10=ndcg_at(ranks[name], 10),
                coverage10=coverage(shown),
                gini10=gini(shown),
                novelty10=novelty(lists, counts, known),
                diversity10=diversity(lists, content),
                popularity10=popularity(lists, counts),
                seconds=outcome.seconds[name],
                requests_per_s=len(lists) / max(outcome.seconds[name], 1e-9),
                own_share=playing.own_share if playing else None,
                trainings=playing.trainings if playing else None,
                played=outcome.played(name),
            )
        )
    return sorted(scores, key=lambda each: -each.recall20)


def _content(log: TrainingLog) -> csr_array:
    """Return the hashed bags of all items, (n_items, CONTENT_DIM) sparse."""
    starts = range(0, len(log.items), _ENCODED_AT_ONCE)
    return csr_array(
        vstack(
            [
                csr_array(encode_content(log.items[start : start + _ENCODED_AT_ONCE]))
                for start in starts
            ]
        )
    )
