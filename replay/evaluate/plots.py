"""The figures of judged logs as plots; what they look like in light and dark is the page's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from replay.evaluate.figures import Figures
from replay.evaluate.request import PRODUCT

PRODUCT_COLOUR: Final = "#2f6fed"
BASELINE_COLOUR: Final = "#d97706"
OTHER_COLOURS: Final = ("#0f9d8a", "#9b6bdf", "#c2417c", "#5f8f1f")  # of contestants, no baselines
GREY: Final = "#8a94a6"

_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_ROW_PX: Final = 34


def forest(logs: Sequence[Figures]) -> go.Figure:
    """Return the gain over the best baseline of each contestant on each log, with its interval."""
    rows = [(each, found) for each in logs for found in each.comparisons]
    plot = go.Figure()
    for log, found in rows:
        if found.delta_pct is None:
            continue
        low, high = found.ci_low, found.ci_high
        plot.add_scatter(
            x=[found.delta_pct],
            y=[escape(f"{log.name}: {found.contestant}")],
            mode="markers",
            marker={"size": 10, "color": _colour(log, found.contestant), "symbol": "square"},
            error_x={
                "symmetric": False,
                "array": [None if high is None else high - found.delta_pct],
                "arrayminus": [None if low is None else found.delta_pct - low],
                "thickness": 2,
                "width": 6,
            },
            hovertemplate=f"%{{x:+.1f}} % over {escape(found.baseline)}<extra></extra>",
            showlegend=False,
        )
    plot.add_vline(x=0, line={"color": GREY, "width": 1.5, "dash": "dot"})
    plot.update_yaxes(autorange="reversed")
    plot.update_xaxes(title="Recall@20 relative to the best baseline, %", zeroline=False)
    return styled(plot, height=110 + _ROW_PX * len(rows))


def curves(log: Figures) -> go.Figure:
    """Return Recall@20 over time; baselines that are not the best can be switched on."""
    named = _named(log)
    rest = [each.contestant for each in log.scores if each.contestant not in named]
    plot = go.Figure()
    for name in [*named, *rest]:
        plot.add_scatter(
            x=_dates(log.curve.ts_ms),
            y=log.curve.recall20[name],
            mode="lines",
            name=escape(name),
            line={
                "color": _colour(log, name),
                "width": 2.5 if name == PRODUCT else 1.5,
                "dash": "solid" if name in named else "dot",
            },
            visible=True if name in named else "legendonly",
            hovertemplate="%{y:.3f}",
        )
    plot.update_yaxes(title="Recall@20", rangemode="tozero")
    plot.update_layout(hovermode="x unified")
    return styled(plot, height=340)


def slice_bars(log: Figures) -> go.Figure:
    """Return Recall@20 in each slice: of the contestants, and of the best baseline."""
    groups = list(dict.fromkeys(each.group for each in log.slices))
    members = {name: [each for each in log.slices if each.group == name] for name in groups}
    plot = make_subplots(
        cols=len(groups),
        shared_yaxes=True,
        column_widths=[len(members[name]) for name in groups],
        subplot_titles=[escape(name) for name in groups],
        horizontal_spacing=0.02,
    )
    for column, group in enumerate(groups, start=1):
        for name in _named(log):
            plot.add_bar(
                x=[f"{each.name}<br>n={each.requests:,}" for each in members[group]],
                y=[each.recall20[name] for each in members[group]],
                name=escape(name),
                legendgroup=name,
                showlegend=column == 1,
                marker={"color": _colour(log, name)},
                hovertemplate="%{y:.3f}",
                col=column,
                row=1,
            )
    plot.update_yaxes(title="Recall@20", col=1)
    plot.update_layout(barmode="group", bargap=0.25)
    return styled(plot, height=320)


def trade_offs(log: Figures) -> go.Figure:
    """Return accuracy beside what else lists are like, a dot for each contestant."""
    panels: dict[str, list[float | None]] = {
        "coverage@10": [each.coverage10 for each in log.scores],
        "novelty@10, bits": [each.novelty10 for each in log.scores],
        "diversity@10": [each.diversity10 for each in log.scores],
    }
    panels = {name: values for name, values in panels.items() if set(values) != {None}}
    named = _named(log)
    plot = make_subplots(cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04)
    for column, (title, values) in enumerate(panels.items(), start=1):
        for scores, value in zip(log.scores, values, strict=True):
            name = scores.contestant
            plot.add_scatter(
                x=[value],
                y=[scores.recall20],
                mode="markers",
                name=escape(name),
                legendrank=named.index(name) if name in named else len(named),
                showlegend=column == 1 and name in named,
                marker={
                    "color": _colour(log, name),
                    "size": 13 if name == PRODUCT else 10,
                    "symbol": "diamond-open" if scores.is_baseline else "circle",
                    "line": {"width": 2 if scores.is_baseline else 0},
                },
                hovertemplate=f"{escape(name)}<br>{title} %{{x:.3f}}<br>"
                "Recall@20 %{y:.3f}<extra></extra>",
                cliponaxis=False,
                col=column,
                row=1,
            )
        plot.update_xaxes(title=title, col=column)
    plot.update_yaxes(title="Recall@20", rangemode="tozero", col=1)
    return styled(plot, height=350)


def styled(plot: go.Figure, height: int = 380) -> go.Figure:
    """Return a plot whose colours of text and grid are left to the page.

    Args:
        plot: it is not changed.
        height: in pixels, where the plot has none of its own.
    """
    plot = go.Figure(plot)
    plot.update_layout(
        template="none",
        height=plot.layout.height or height,
        margin={"l": 60, "r": 20, "t": 30, "b": 60},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 13},
        legend={"orientation": "h", "y": -0.3},
    )
    plot.update_xaxes(automargin=True, title_font_size=13)
    plot.update_yaxes(automargin=True, title_font_size=13)
    plot.update_annotations(font_size=13)
    return plot


def _named(log: Figures) -> list[str]:
    """Return who is drawn in colour: the product, other contestants, the best baseline."""
    others = sorted(
        (each.contestant for each in log.scores if not each.is_baseline),
        key=lambda name: (name != PRODUCT, name),
    )
    best = _best(log)
    return others if best is None else [*others, best]


def _best(log: Figures) -> str | None:
    """Return the best baseline, which everyone is compared with."""
    playing = (each.contestant for each in log.scores if each.is_baseline and each.played)
    return next(playing, None)


def _colour(log: Figures, contestant: str) -> str:
    """Return the colour of a contestant, the same in all plots of a log."""
    if contestant == PRODUCT:
        return PRODUCT_COLOUR
    if contestant == _best(log):
        return BASELINE_COLOUR
    others = [name for name in _named(log) if name != PRODUCT]
    if contestant in others:
        return OTHER_COLOURS[others.index(contestant) % len(OTHER_COLOURS)]
    return GREY


def _dates(ts_ms: Sequence[int]) -> list[datetime]:
    return [datetime.fromtimestamp(each / 1000, UTC) for each in ts_ms]
