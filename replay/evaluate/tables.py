"""The figures of a judged log as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich.table import Table

from replay.evaluate.click_figures import ClickFigures
from replay.evaluate.figures import Figures
from replay.evaluate.rejection_figures import RejectionFigures
from replay.evaluate.request import PRODUCT

SHOWN: Final = ("recall10", "recall20", "mrr20", "ndcg10", "coverage10")


def tables(found: Figures) -> Iterator[Table]:
    """Yield the tables of a log: lists, clicks on what was shown, rejections."""
    yield _lists(found)
    if found.clicks is not None:
        yield _clicks(found.name, found.clicks)
    if found.rejections is not None:
        yield _rejections(found.name, found.rejections)


def _lists(found: Figures) -> Table:
    """Return the contestants of a log, the best first."""
    table = Table(title=f"{found.name}: {found.requests:,} requests", title_justify="left")
    table.add_column("contestant")
    for name in SHOWN:
        table.add_column(name, justify="right")
    for scores in found.scores:
        style = "bold" if scores.contestant == PRODUCT else None
        values = (_figure(getattr(scores, name)) for name in SHOWN)
        name = scores.contestant if scores.played else f"{scores.contestant} (never played)"
        table.add_row(name, *values, style=style)
    return table


def _clicks(name: str, clicks: ClickFigures) -> Table:
    """Return what everyone predicted of the clicks on what was shown."""
    title = (
        f"{name}: clicks on {clicks.impressions:,} impressions, {clicks.mixed_slates:,} slates "
        "with some and not all clicked on"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("contestant")
    for column in ("AUC by slate", "AUC, pooled", "log loss", "calibration error", "ratio"):
        table.add_column(column, justify="right")
    for each in clicks.scores:
        estimates = (each.slate_auc, each.auc, each.log_loss, each.foreseen_over_true)
        by_slate, pooled, loss, ratio = (_figure(value and value.value) for value in estimates)
        style = "bold" if each.contestant == PRODUCT else None
        error = _figure(each.calibration_error)
        table.add_row(each.contestant, by_slate, pooled, loss, error, ratio, style=style)
    return table


def _rejections(name: str, found: RejectionFigures) -> Table:
    """Return how often lists held what was rejected, or its like."""
    title = (
        f"{name}: {found.rejections:,} rejections, {found.like_requests:,} requests after one, "
        f"{found.compared:,} comparisons"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("contestant")
    groups = (found.rejected20, found.like_rejected20, found.accepted_auc)
    for column in ("rejected@20", "like rejected@20", "accepted AUC"):
        table.add_column(column, justify="right")
    for contestant in dict.fromkeys(each.contestant for group in groups for each in group):
        values = (found.of(group, contestant) for group in groups)
        style = "bold" if contestant == PRODUCT else None
        table.add_row(
            contestant, *(_figure(each and each.value.value) for each in values), style=style
        )
    return table


def _figure(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"
