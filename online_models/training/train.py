"""From events and items to a published bundle: one function, its parts in the order of time.

The log is cut by time, never at random. The encoder learns from the first part; the ranker from
exposures and slates in the second, with an encoder that has not seen them, as it will be when it
serves; the third chooses, also between the network and trees, the fourth only measures. Then the
models learn from all of it too, because the newest items are what a recommender is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from freshet.core.events.schema import REJECTION, Event, Item
from online_models.artifacts.registry import Registry
from online_models.artifacts.write import write_bundle
from online_models.training.budget import ASK_S, Budget
from online_models.training.challenger import TreeRanker
from online_models.training.challenger_choice import Choice, challenged
from online_models.training.encoder import EncoderModel, fit_encoder
from online_models.training.export import (
    add_slate_column,
    export_encoder,
    export_item_tower,
    export_ranker,
)
from online_models.training.exposures import Exposure, Life
from online_models.training.histories import Histories, thinned
from online_models.training.labelled_rows import LabelledRows, Population
from online_models.training.log import TrainingLog, build_log
from online_models.training.measure import (
    counter_ranks,
    encoder_ranks,
    figures,
    ranker_ranks,
    remarks,
    slate_figures,
    source_ranks,
    task_figures,
)
from online_models.training.networks import CalibratedRanker, ContentTower, HistoryEncoder
from online_models.training.ranker import fit_ranker, refit_ranker
from online_models.training.shown import Shown
from online_models.training.slate_head import HeadChoice, SlateHead, choose_head
from online_models.training.slates import Slate, Slates
from online_models.training.trial import trial_bundle

CUTS: Final = (0.75, 0.87, 0.92)
"""Shares of the interactions where the parts end: encoder, ranker, choice; the rest measures."""

_ENCODER_SHARE, _EXPOSURE_SHARE, _RANKER_SHARE, _REFIT_SHARE = 0.3, 0.25, 0.1, 0.15
_REFIT_RANKER_SHARE: Final = 0.1
_CHALLENGER_SHARE: Final = 0.1
_HEAD_SHARE: Final = 0.02  # for the slate head, where the log has slates; as much once more
_EXPORT_S: Final = 10.0  # what export and check take, beside a busy server
_REFIT_EPOCHS: Final = 2
_RANKER_EPOCHS: Final = 30
_CHOOSING_REQUESTS: Final = 1_000
_LEAST_REQUESTS: Final = 200  # of each part, slates among them, whatever they cost
_REQUEST_SHARES: Final = (0.65, 0.15, 0.2)
_PARTS: Final = ("train", "choose", "test")
_SLATES_PER_REQUEST: Final = 0.5  # at most, where the log holds impressions
_REJECTIONS_PER_REQUEST: Final = 0.25  # at most
_AT_ONCE: Final = 50

LiveLog = Callable[[TrainingLog, Sequence[Event]], Life]
"""Begins to live a log, given as arrays and as events in the same order."""

Report = Callable[[str, float], None]
"""Told the stage and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How much to train.

    Attributes:
        epochs: most passes of the encoder over the log.
        max_seconds: about how long it takes on two idle processors, with export and check; what is
            done does not depend on the time that it takes.
        requests: most requests that are lived again for the ranker and the figures.
        seed: of every generator.
        threads: that torch computes with, at most; no more than it had (`OMP_NUM_THREADS`).
        challenger: whether trees challenge the network that ranks.
    """

    epochs: int = 10
    max_seconds: float = 150.0
    requests: int = 6_000
    seed: int = 7
    threads: int = 2
    challenger: bool = True

    @classmethod
    def quick(cls) -> TrainOptions:
        """Return enough for a first feed: well under a minute."""
        return cls(epochs=4, max_seconds=30.0, requests=1_500, challenger=False)


@dataclass(frozen=True, slots=True)
class Models:
    """What was trained, and what it was found to be worth."""

    encoder: EncoderModel
    ranker: CalibratedRanker | TreeRanker
    head: SlateHead | None
    metrics: dict[str, Any] = field(default_factory=dict)


def train(
    events: Iterable[Event],
    items: Sequence[Item],
    registry: Registry,
    *,
    live: LiveLog,
    options: TrainOptions,
    created_ts_ms: int,
    low_rating: float | None = None,
    report: Report = lambda _stage, _share: None,
) -> str:
    """Train on a log, publish the bundle, put it in use and return its version.

    Args:
        events: the log, in any order.
        items: the catalogue; may be empty.
        registry: where the bundle goes.
        live: lives the log through the product, for the ranker to learn from.
        options: how much to train.
        created_ts_ms: wall clock.
        low_rating: see `build_log`.
        report: told the stage and the share of it that is done.

    Raises:
        LogTooShortError: when the log teaches nothing.
        BundleError: when the bundle does not pass its own check; nothing was published.
    """
    torch.set_num_threads(min(options.threads, torch.get_num_threads()))
    torch.manual_seed(options.seed)
    events = sorted(events, key=lambda event: event.ts_ms)
    log = build_log(events, items, low_rating=low_rating)
    with closing(live(log, events)) as life:
        models = fit(log, life, options, report)
    report("export", 0.0)
    with registry.staging() as folder:
        write_bundle(
            folder,
            items=log.items,
            vectors=models.encoder.item_vectors(),
            ranker=_graph(models),
            encoder=export_encoder(HistoryEncoder(models.encoder.encoder)),
            item_tower=export_item_tower(ContentTower(models.encoder.tower)),
            metrics=models.metrics,
            created_ts_ms=created_ts_ms,
            parent=registry.current(),
        )
        report("export", 0.7)
        version = registry.publish(folder)
    report("export", 1.0)
    return version


def _graph(models: Models) -> bytes:
    ranker, head = models.ranker, models.head
    if isinstance(ranker, TreeRanker):
        return add_slate_column(ranker.graph, ranker, head)
    return export_ranker(ranker, head)


def fit(log: TrainingLog, life: Life, options: TrainOptions, report: Report) -> Models:
    """Return models trained and measured on a log."""
    rng = np.random.default_rng(options.seed)
    budget = Budget.of(max(options.max_seconds - _EXPORT_S, options.max_seconds / 2))
    first, second = log.cut(CUTS[0]), log.cut(CUTS[1])
    histories = Histories(log)
    model = EncoderModel.fresh(log)
    fit_encoder(
        model,
        log,
        first,
        epochs=options.epochs,
        budget=budget.share(_ENCODER_SHARE),
        rng=rng,
        validation=histories.requests(first, second, _CHOOSING_REQUESTS),
        report=lambda share: report("encoder", share),
    )
    life.use(trial_bundle(log, np.flatnonzero(histories.available(first)), model))
    parts = _expose(log, histories, life, options, rng, budget.share(_EXPOSURE_SHARE), report)
    network = fit_ranker(
        parts[0].exposures,
        parts[1].exposures,
        shown=parts[0].shown,
        shown_later=parts[1].shown,
        rejected=parts[0].rejected,
        rejected_later=parts[1].rejected,
        epochs=_RANKER_EPOCHS,
        budget=budget.share(_RANKER_SHARE - 2 * _HEAD_SHARE * bool(parts[0].shown)),
        rng=rng,
        report=lambda share: report("ranker", share),
    )
    choice = Choice(network, "network")
    if options.challenger:
        choice = challenged(
            network,
            parts[0].exposures,
            parts[1].exposures,
            log=log,
            budget=budget.share(_CHALLENGER_SHARE),
            rng=np.random.default_rng([options.seed, 1]),  # who challenges changes nobody else
            population=_population(parts),
            report=lambda share: report("challenger", share),
        )
    head, kept_head = _order_of_slates(choice, parts, options, budget)
    metrics = _measure(log, histories, model, choice, parts, head)
    fit_encoder(
        model,
        log,
        len(log),
        epochs=_REFIT_EPOCHS,
        budget=budget.share(_REFIT_SHARE),
        rng=rng,
        report=lambda share: report("refit", share),
    )
    ranker = choice.ranker
    if ranker is network:
        ranker = refit_ranker(
            network,
            [each for part in parts for each in part.exposures],
            shown=[each for part in parts for each in part.shown],
            rejected=[each for part in parts for each in part.rejected],
            budget=budget.share(_REFIT_RANKER_SHARE),
            rng=rng,
        )
    return Models(model, ranker, kept_head, metrics | _effort(model, network, budget))


def _order_of_slates(
    choice: Choice, parts: Sequence[_Part], options: TrainOptions, budget: Budget
) -> tuple[HeadChoice, SlateHead | None]:
    """Return what orders slates as it was measured, and the head that learned from all of them."""
    rng = np.random.default_rng([options.seed, 2])  # who else learns draws as without it
    part = budget.share(_HEAD_SHARE if parts[0].shown else 0)
    head = choose_head(choice.ranker, parts[0].shown, parts[1].shown, budget=part, rng=rng)
    everything = [each for part in parts for each in part.shown]
    part = budget.share(_HEAD_SHARE if head.head else 0)
    return head, head.again(everything, budget=part, rng=rng)


def _effort(model: EncoderModel, network: CalibratedRanker, budget: Budget) -> dict[str, Any]:
    """Return how much was done: all but the processor time is the same on every machine."""
    return {
        "seconds": round(budget.processor_s, 1),
        "effort": {
            "encoder_epochs": len(model.history),
            "encoder_steps": model.steps,
            "ranker_epochs": network.epochs,
            "planned_s": round(budget.seconds, 1),
            "priced_s": round(budget.spent_s, 1),
            "processor_s": round(budget.processor_s, 1),
            "capped": budget.capped,
        },
    }


@dataclass(slots=True)
class _Part:
    """What was asked for in a part of the log, in the order of time."""

    exposures: list[Exposure] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    rejected: list[Exposure] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.exposures) + len(self.shown) + len(self.rejected)


def _population(parts: Sequence[_Part]) -> Population:
    """Return what the tasks are learned from and calibrated by."""
    early, late = parts[:2]
    return Population.of(
        early.exposures, late.exposures, early.shown, late.shown, early.rejected, late.rejected
    )


def _expose(
    log: TrainingLog,
    histories: Histories,
    life: Life,
    options: TrainOptions,
    rng: np.random.Generator,
    budget: Budget,
    report: Report,
) -> list[_Part]:
    """Return the exposures and slates of the second, third and fourth part of the log.

    Each knows of what came of it as much as its own part of the log holds. What the budget cannot
    pay for is thinned out evenly, never cut off at the end.
    """
    edges = [*(log.cut(share) for share in CUTS), len(log)]
    slates = Slates(log, histories)
    asks: list[list[int | Slate]] = []
    rejections = set(np.flatnonzero(REJECTION[log.kind]).tolist())
    for share, start, end in zip(_REQUEST_SHARES, edges, edges[1:], strict=False):
        most = max(int(share * options.requests), _LEAST_REQUESTS)
        events = histories.requests(start, end, most)
        shown = slates.between(start, end, int(_SLATES_PER_REQUEST * most))
        rejected = histories.rejections(start, end, int(_REJECTIONS_PER_REQUEST * most))
        asks.append(_in_order(histories, np.union1d(events, rejected), shown))
    asks = [_affordable(each, budget, sum(map(len, asks))) for each in asks]
    parts = [_Part(), _Part(), _Part()]
    done, total = 0, sum(map(len, asks))
    for number, part in enumerate(parts):
        for start in range(0, len(asks[number]), _AT_ONCE):
            some = asks[number][start : start + _AT_ONCE]
            for ask in some:
                if isinstance(ask, Slate):
                    part.shown.append(life.show(ask))
                    continue
                exposure = life.expose(ask).known_before(edges[number + 1])
                exposure = exposure if number else exposure.thinned(rng)
                (part.rejected if ask in rejections else part.exposures).append(exposure)
            done += len(some)
            budget.spend(len(some) * ASK_S)
            report("exposures", done / total)
    return parts


def _affordable(asks: list[int | Slate], budget: Budget, total: int) -> list[int | Slate]:
    """Return as many of the asks of a part as its share of a budget pays for, evenly spread.

    Args:
        asks: of the part, in the order of time.
        budget: of all parts.
        total: how many asks all parts have.
    """
    most = int(len(asks) * min(budget.left_s / (max(total, 1) * ASK_S), 1.0))
    kept = thinned(np.arange(len(asks)), max(most, _LEAST_REQUESTS))
    return [asks[place] for place in kept.tolist()]


def _in_order(
    histories: Histories, events: NDArray[np.int64], slates: Sequence[Slate]
) -> list[int | Slate]:
    """Return events to be foreseen and slates to be ranked, as they were asked for."""
    asks: list[tuple[int, int | Slate]] = [(slate.asked_at, slate) for slate in slates]
    asks += zip(histories.asked_at[events].tolist(), events.tolist(), strict=True)
    return [ask for _, ask in sorted(asks, key=lambda each: each[0])]


def _measure(
    log: TrainingLog,
    histories: Histories,
    model: EncoderModel,
    choice: Choice,
    parts: list[_Part],
    head: HeadChoice,
) -> dict[str, Any]:
    """Return what the manifest says of the models."""
    exposures, shown = parts[2].exposures, parts[2].shown
    rows = LabelledRows.of_shown(shown)
    if not choice.ranker.on_shown:
        rows = LabelledRows.of_candidates(exposures, parts[2].rejected)
    events = np.array([each.event for each in exposures], np.int64)
    ranks = {
        **ranker_ranks(choice.ranker, exposures),
        **{name: ranker_ranks(each, exposures)["ranker"] for name, each in choice.others.items()},
        "encoder": encoder_ranks(model, log, histories, events),
        **counter_ranks(log, histories, events),
        **source_ranks(exposures),
    }
    test = {name: figures(each) for name, each in ranks.items()}
    return {
        "test": test,
        "candidate_recall": round(float(np.mean([each.target >= 0 for each in exposures])), 4),
        "tasks": task_figures(choice.ranker, rows),
        "tasks_of": "what was shown" if choice.ranker.on_shown else "candidates",
        "slate_auc": slate_figures(choice.ranker, shown, head.head),
        "slate_head": head.metrics,
        "challenger": choice.metrics,
        "requests": {name: len(part.exposures) for name, part in zip(_PARTS, parts, strict=True)},
        "slates": {name: len(part.shown) for name, part in zip(_PARTS, parts, strict=True)},
        "log": {"events": len(log), "items": len(log.items), "users": log.n_users},
        "encoder_epoch": model.best_epoch,
        "remarks": [
            *remarks(test),
            *filter(None, [choice.remark]),
            "measured on the last part of the log, before the models learned from all of it",
        ],
    }
