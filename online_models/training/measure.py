"""What the models foresee of the last part of a log, beside what simple counters foresee of it.

Law: predict, then live on. All contestants answer the same requests over the items that existed
then, the user's own items left out; an item that did not exist yet is a miss for all of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from online_models.features import FEATURES, SOURCES
from online_models.maths.accuracy import mrr_at, ndcg_at, rank_of, recall_at
from online_models.maths.classification import auc, calibration_ratio
from online_models.maths.slate_auc import slate_aucs
from online_models.tasks import GIVEN_CLICK, TASKS
from online_models.training.encoder import EncoderModel
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.labelled_rows import LabelledRows
from online_models.training.log import TARGET, TrainingLog
from online_models.training.ranker import scores_of
from online_models.training.shown import Shown
from online_models.training.slate_head import SlateHead

RECENT_EVENTS: Final = 2_000  # window of the recent-popular baseline
_FUSED: Final = FEATURES.index("fused_rank")
_AT_ONCE: Final = 20_000  # rows that are ranked together

Ranks = NDArray[np.int64]
"""(n,) rank of the right item of each request, from 0; -1 = not ranked."""


def figures(ranks: Ranks) -> dict[str, float]:
    """Return the accuracies of lists, rounded for a manifest."""
    return {
        "recall_at_20": round(recall_at(ranks, 20), 4),
        "mrr_at_20": round(mrr_at(ranks, 20), 4),
        "ndcg_at_10": round(ndcg_at(ranks, 10), 4),
    }


def encoder_ranks(
    model: EncoderModel, log: TrainingLog, histories: Histories, events: NDArray[np.int64]
) -> Ranks:
    """Return the ranks by the encoder alone, over the full catalogue."""
    batch = histories.before(events)
    vectors = model.item_vectors()
    users = model.encode(vectors, batch)
    ranks = np.empty(len(events), np.int64)
    for number, event in enumerate(events.tolist()):
        offered = histories.available(event)
        offered[batch.items[number][batch.mask[number]]] = False
        ranks[number] = _rank_among(vectors @ users[number], offered, log.item[event])
    return ranks


def counter_ranks(
    log: TrainingLog, histories: Histories, events: NDArray[np.int64]
) -> dict[str, Ranks]:
    """Return the ranks by counters: recent popularity, and transitions from the last item.

    Popularity is that of the last `RECENT_EVENTS` visits; it also orders what the transitions
    leave open.
    """
    batch = histories.before(events)
    wanted = {event: number for number, event in enumerate(events.tolist())}
    popular = np.empty(len(events), np.int64)
    transitions = np.empty(len(events), np.int64)
    recent: deque[int] = deque()
    counts = np.zeros(len(log.items), np.float64)
    following: dict[int, Counter[int]] = defaultdict(Counter)
    last: dict[int, int] = {}
    visits = np.flatnonzero(TARGET[log.kind])
    for event in visits.tolist():
        item, user = int(log.item[event]), int(log.user[event])
        number = wanted.get(event)
        if number is not None:
            offered = histories.available(event)
            offered[batch.items[number][batch.mask[number]]] = False
            popular[number] = _rank_among(counts, offered, item)
            scores = counts / (RECENT_EVENTS + 1)  # below 1: it only breaks ties
            known = following[last[user]] if user in last else Counter()
            scores[list(known)] += list(known.values())
            transitions[number] = _rank_among(scores, offered, item)
        counts[item] += 1
        recent.append(item)
        if len(recent) > RECENT_EVENTS:
            counts[recent.popleft()] -= 1
        if user in last:
            following[last[user]][item] += 1
        last[user] = item
    return {"recent_popular": popular, "last_item_transitions": transitions}


def source_ranks(exposures: Sequence[Exposure]) -> dict[str, Ranks]:
    """Return the ranks within each source, as it found the items."""
    found = np.array(
        [
            each.ranks[each.target] if each.target >= 0 else np.full(len(SOURCES), -1)
            for each in exposures
        ],
        np.int64,
    ).reshape(-1, len(SOURCES))
    return {name: found[:, column] for column, name in enumerate(SOURCES)}


def ranker_ranks(ranker: nn.Module, exposures: Sequence[Exposure]) -> dict[str, Ranks]:
    """Return the ranks of the fusion of the sources, and of the ranker over the same candidates."""
    ranks = np.full((2, len(exposures)), -1, np.int64)
    for number, each in enumerate(exposures):
        if each.target >= 0:
            ranks[0, number] = rank_of(each.features[:, _FUSED], each.target)
            ranks[1, number] = rank_of(scores_of(ranker, each), each.target)
    return {"fusion": ranks[0], "ranker": ranks[1]}


def task_figures(ranker: nn.Module, rows: LabelledRows) -> dict[str, dict[str, float]]:
    """Return how well each task is predicted, of tasks that happened at all.

    Args:
        ranker: asked for probabilities.
        rows: of the population that the ranker is calibrated on; of another, its probabilities
            mean nothing.

    Returns:
        By task, over the rows on which its column counts: how often it happened, the AUC, and
        predicted over true; of what follows a click also the AUC among what was clicked, which
        does not rest on predicting the click.
    """
    predicted = _probabilities(ranker, rows)
    labels, clicked = rows.labels.numpy(), rows.clicked.numpy()
    found = {}
    for task, name in enumerate(TASKS):
        # A column of P(click) P(task | click) speaks of all rows that can be clicked on.
        counts = rows.rows[:, 0 if GIVEN_CLICK[task] else task].numpy()
        happened = labels[counts, task]
        if not happened.any():
            continue
        found[name] = _figures_of(predicted[counts, task], happened)
        if GIVEN_CLICK[task]:
            given = predicted[clicked, task] / predicted[clicked, 0]
            given = np.round(given, 6)  # rounding orders none
            found[name]["auc_given_click"] = round(auc(given, labels[clicked, task]), 4)
    return found


def slate_figures(
    ranker: nn.Module, shown: Sequence[Shown], head: SlateHead | None = None
) -> dict[str, float]:
    """Return how well the clicks within a slate are told from the rest; nothing without slates.

    Returns:
        The mean AUC within slates that hold both, of the ranker's click, of the fusion of the
        sources and of the slate head, where there is one; and how many slates these are.
    """
    rows = LabelledRows.of_shown(shown)
    clicked, slates = rows.clicked.numpy(), rows.slates.numpy()
    scores = {"ranker": _probabilities(ranker, rows)[:, 0], "fusion": rows.features[:, _FUSED]}
    if head is not None:
        with torch.no_grad():
            scores["slate_head"] = head.eval()(rows.features).numpy()
    aucs = {name: slate_aucs(each, clicked, slates) for name, each in scores.items()}
    mixed = len(aucs["ranker"])
    if not mixed:
        return {}
    means = {name: round(float(each.mean()), 4) for name, each in aucs.items()}
    return {**means, "slates": mixed}


@torch.no_grad()
def _probabilities(ranker: nn.Module, rows: LabelledRows) -> NDArray[np.float32]:
    """Return (n, T), some rows at a time."""
    ranker.eval()
    parts = [ranker(part) for part in rows.features.split(_AT_ONCE)] if len(rows) else []
    return np.concatenate([np.empty((0, len(TASKS)), np.float32), *map(np.asarray, parts)])


def _figures_of(predicted: NDArray[np.float32], happened: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "true": int(happened.sum()),
        "auc": round(auc(predicted, happened), 4),
        "predicted_over_true": round(calibration_ratio(predicted, happened), 3),
    }


def remarks(test: dict[str, dict[str, float]]) -> list[str]:
    """Return what a reader of the figures must not miss, the bad news first."""
    found = []
    for model, rivals in (
        ("ranker", ("fusion", "recent_popular", "last_item_transitions")),
        ("encoder", ("recent_popular", "last_item_transitions")),
    ):
        for rival in rivals:
            for figure in ("recall_at_20", "mrr_at_20"):
                mine, theirs = test[model][figure], test[rival][figure]
                if mine < theirs:
                    found.append(
                        f"the {model} foresees less than {rival}: {figure} {mine} < {theirs}"
                    )
    return found


def _rank_among(scores: NDArray[Any], offered: NDArray[np.bool_], item: int) -> int:
    """Return the rank of an item among those offered, -1 when it is not."""
    if not offered[item]:
        return -1
    return rank_of(np.where(offered, scores, -np.inf), item)
