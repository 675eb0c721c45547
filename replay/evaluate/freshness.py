"""What freshness is worth: the same requests, answered with state and models that are older."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from online_models.maths.accuracy import hits_at, reciprocal_ranks_at
from online_models.maths.intervals import LEVEL
from online_models.training.log import TrainingLog
from replay.evaluate.comparison import Comparison, compare
from replay.evaluate.judge import Judge, Plan, Report, Trainer
from replay.evaluate.outcome import Outcome
from replay.evaluate.plots import BASELINE_COLOUR, GREY, PRODUCT_COLOUR
from replay.evaluate.report import Section
from replay.evaluate.request import LIST_LENGTH, PRODUCT
from replay.evaluate.stale import Arm, SharedTrainer, StaleLife, StaleProduct
from replay.lived import LivedLog

DELAYS_S: Final = (60, 300, 3_600, 86_400)
FEWER_TRAININGS: Final = (2, 0)
MOST_TRAININGS: Final = 8

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Gap:
    """A measure of an arm minus that of the product; None is what cannot be said.

    Attributes:
        absolute: the difference, with `low` and `high` of its interval.
        delta_pct: relative to the product, with `ci_low` and `ci_high`.
        p_holm: two-sided, corrected for the number of arms.
    """

    absolute: float
    low: float | None
    high: float | None
    delta_pct: float | None
    ci_low: float | None
    ci_high: float | None
    p_holm: float


@dataclass(frozen=True, slots=True)
class Level:
    """What one arm foresaw; the gaps are to the product, the freshest of all."""

    arm: Arm
    recall20: float
    mrr20: float
    recall20_gap: Gap
    mrr20_gap: Gap


@dataclass(frozen=True, slots=True)
class Freshness:
    """What freshness is worth on a log; becomes JSON as it is.

    Attributes:
        name: of the log.
        requests: that were asked.
        trainings: while answers counted.
        trained_every_s: event time from one of them to the next, the mean; None without any.
        recall20: of the product.
        mrr20: likewise.
        levels: of the arms.
    """

    name: str
    requests: int
    trainings: int
    trained_every_s: float | None
    recall20: float
    mrr20: float
    levels: list[Level]


def measure_freshness(
    name: str,
    log: TrainingLog,
    events: Sequence[Event],
    settings: Settings,
    trainer: Trainer | None,
    plan: Plan,
    report: Report = lambda _share: None,
) -> Freshness:
    """Judge the product beside arms that are less fresh.

    Args:
        name: of the log.
        log: the log as arrays.
        events: its events, in the same order.
        settings: of the product.
        trainer: trains the models; without one, state alone is compared.
        plan: what is asked when; see `daily` for the trainings.
        report: told the share that is done.
    """
    plan = replace(
        plan, slates=0, rejections=0, trainings=plan.trainings if trainer is not None else 0
    )
    lives = [
        StaleLife(LivedLog(log, events, settings), delay_s, plan.trainings) for delay_s in DELAYS_S
    ]
    arms = [
        StaleProduct(life, Arm(life.delay_s, hides_seen=hides))
        for life in lives
        for hides in (False, True)
    ]
    for fewer in [each for each in FEWER_TRAININGS if each < plan.trainings]:
        lives.append(StaleLife(LivedLog(log, events, settings), 0, fewer))
        arms.append(StaleProduct(lives[-1], Arm(trainings=fewer)))
    shared = None if trainer is None else SharedTrainer(trainer, lives, plan.trainings)
    outcome = Judge(name, log, events, settings, shared, arms, plan).run(report)
    for life in lives:
        life.close()
    return freshness_of(outcome, [each.arm for each in arms], plan)


def daily(log: TrainingLog, plan: Plan, most: int = MOST_TRAININGS) -> Plan:
    """Return the plan with a training for each day on which answers count, at most so many."""
    judged_ms = int(log.ts_ms[-1] - log.ts_ms[log.cut(plan.judge_from)])
    return replace(plan, trainings=min(judged_ms // _DAY_MS, most))


def freshness_of(outcome: Outcome, arms: Sequence[Arm], plan: Plan, seed: int = 0) -> Freshness:
    """Return the figures of an outcome in which arms were asked beside the product.

    Args:
        outcome: with one request at least.
        arms: that are compared.
        plan: of the run.
        seed: of the resampling; all arms draw alike.
    """
    log, names = outcome.log, [arm.name for arm in arms]
    ranks = {name: outcome.ranks(name) for name in [PRODUCT, *names]}
    hits = {name: hits_at(each, LIST_LENGTH) for name, each in ranks.items()}
    inverse = {name: reciprocal_ranks_at(each, LIST_LENGTH) for name, each in ranks.items()}
    recall_gaps = _gaps(outcome, hits, names, seed)
    mrr_gaps = _gaps(outcome, inverse, names, seed)
    judged_ms = int(log.ts_ms[-1] - log.ts_ms[log.cut(plan.judge_from)])
    every_s = judged_ms / 1000 / (plan.trainings + 1) if plan.trainings else None
    return Freshness(
        name=outcome.name,
        requests=len(outcome.events),
        trainings=plan.trainings,
        trained_every_s=every_s,
        recall20=float(hits[PRODUCT].mean()),
        mrr20=float(inverse[PRODUCT].mean()),
        levels=[
            Level(arm, float(hits[name].mean()), float(inverse[name].mean()), recall, mrr)
            for arm, name, recall, mrr in zip(arms, names, recall_gaps, mrr_gaps, strict=True)
        ],
    )


def _gaps(
    outcome: Outcome, values: Mapping[str, NDArray[np.float64]], names: Sequence[str], seed: int
) -> list[Gap]:
    return [_gap(each) for each in compare(outcome, values, names, PRODUCT, seed)]


def _gap(found: Comparison) -> Gap:
    return Gap(
        absolute=found.absolute,
        low=found.low,
        high=found.high,
        delta_pct=found.delta_pct,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        p_holm=found.p_holm,
    )


# --- the report ---


def section(found: Freshness) -> Section:
    """Return what freshness is worth as a part of the report."""
    words = [
        f"All {found.requests:,} requests were answered again by products that are less fresh. "
        "One with old state has seen no event that is younger than its delay, of the user who asks "
        "or of anyone; its models are the same. A target is never an item of the user's history, "
        "so an old state also repeats what was just visited: where seen items are hidden, they "
        "were struck from the list afterwards, which leaves what is not known.",
        f"The difference to the product is shown, with {100 * LEVEL:.0f} % intervals. The product "
        f"itself reaches Recall@20 {found.recall20:.4f} and MRR@20 {found.mrr20:.4f}.",
    ]
    if found.trained_every_s is not None:
        words.insert(
            1,
            f"Its models were trained {found.trainings} times while answers counted, every "
            f"{found.trained_every_s / 3600:,.1f} h. One with old models takes fewer of the same "
            "trainings, or none after the first answer that counts.",
        )
    return Section(f"What freshness is worth: {found.name}", words, _plot(found))


def _plot(found: Freshness) -> go.Figure:
    """Return the gaps of all arms: state on the left, models on the right."""
    state = [level for level in found.levels if level.arm.trainings is None]
    models = [level for level in found.levels if level.arm.trainings is not None]
    panels = [(title, each) for title, each in (("state", state), ("models", models)) if each]
    plot = make_subplots(
        cols=len(panels),
        shared_yaxes=True,
        column_widths=[sum(not level.arm.hides_seen for level in each) for _, each in panels],
        subplot_titles=[title for title, _ in panels],
        horizontal_spacing=0.04,
    )
    for column, (_, levels) in enumerate(panels, start=1):
        for measure, colour in (("Recall@20", PRODUCT_COLOUR), ("MRR@20", BASELINE_COLOUR)):
            for hides_seen in (False, True):
                shown = [each for each in levels if each.arm.hides_seen == hides_seen]
                if shown:
                    trace = _points(shown, measure, colour, hides_seen=hides_seen)
                    plot.add_trace(trace.update(showlegend=column == 1), col=column, row=1)
    plot.add_hline(y=0, line={"color": GREY, "width": 1.5, "dash": "dot"})
    plot.update_yaxes(title="relative to the product, %", col=1)
    plot.update_layout(scattermode="group")
    return plot


def _points(levels: Sequence[Level], measure: str, colour: str, *, hides_seen: bool) -> go.Scatter:
    """Return the gaps of some arms in one measure; hollow where seen items are hidden."""
    gaps = [each.recall20_gap if measure == "Recall@20" else each.mrr20_gap for each in levels]
    name = measure + ", seen hidden" * hides_seen
    return go.Scatter(
        x=[replace(each.arm, hides_seen=False).name for each in levels],
        y=[each.delta_pct for each in gaps],
        error_y={
            "symmetric": False,
            "array": [_length(each.delta_pct, each.ci_high) for each in gaps],
            "arrayminus": [_length(each.ci_low, each.delta_pct) for each in gaps],
            "thickness": 2,
            "width": 6,
        },
        mode="markers",
        name=name,
        legendgroup=name,
        marker={"size": 9, "color": colour, "symbol": "circle-open" if hides_seen else "circle"},
        hovertemplate="%{y:+.1f} %",
    )


def _length(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else high - low
