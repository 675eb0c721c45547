"""The report of the judge: one page that needs nothing else, for a reader who knows the field.

Law: whatever comes from a log, names above all, is text: it is escaped, never taken as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Final

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from online_models.maths.classification import CALIBRATION_BINS
from online_models.maths.intervals import LEVEL, RESAMPLES, USER_BLOCKS, holm
from replay.evaluate import plots
from replay.evaluate.baselines.popularity import RATE_STRENGTH
from replay.evaluate.figures import WINDOWS, Figures
from replay.evaluate.remarks import remarks
from replay.evaluate.request import PRODUCT
from replay.evaluate.slices import COLD_ITEM_INTERACTIONS, COLD_USER_EVENTS, HEAD_SHARE

MISSING: Final = "\N{EN DASH}"  # in place of a figure

COLUMNS: Final = (
    # field of Scores, heading, format, the largest is the best
    ("recall10", "Recall@10", ".4f", True),
    ("recall20", "Recall@20", ".4f", True),
    ("mrr20", "MRR@20", ".4f", True),
    ("ndcg10", "NDCG@10", ".4f", True),
    ("coverage10", "coverage@10", ".4f", False),
    ("gini10", "Gini@10", ".3f", False),
    ("novelty10", "novelty@10", ".2f", False),
    ("diversity10", "diversity@10", ".3f", False),
    ("popularity10", "popularity@10", ",.0f", False),
    ("own_share", "own lists", ".3f", False),
    ("trainings", "trainings", ",d", False),
    ("seconds", "seconds", ",.1f", False),
    ("requests_per_s", "requests/s", ",.0f", False),
)
"""Only measures of accuracy have a best: a list of strangers is novel, diverse and worthless."""

_CONSTANTS: Final = {
    "level_pct": 100 * LEVEL,
    "resamples": RESAMPLES,
    "user_blocks": USER_BLOCKS,
    "windows": WINDOWS,
    "cold_user": COLD_USER_EVENTS,
    "cold_item": COLD_ITEM_INTERACTIONS,
    "head_pct": 100 * HEAD_SHARE,
    "bins": CALIBRATION_BINS,
    "rate_strength": RATE_STRENGTH,
    "product": PRODUCT,
    "columns": COLUMNS,
}


@dataclass(frozen=True, slots=True)
class Section:
    """A further part of the report.

    Attributes:
        title: its heading.
        words: what was done and what is seen, a paragraph each.
        plot: what to look at.
    """

    title: str
    words: Sequence[str]
    plot: go.Figure


@dataclass(frozen=True, slots=True)
class Meta:
    """What the figures do not know of themselves.

    Attributes:
        title: of the report.
        protocol: how it was measured, a sentence or two each.
        facts: name and value of what a repetition needs: versions, machine, command, date.
    """

    title: str
    protocol: Sequence[str]
    facts: dict[str, str] = field(default_factory=dict)


def write_report(
    path: Path, logs: Sequence[Figures], meta: Meta, sections: Sequence[Section] = ()
) -> None:
    """Write the report as one HTML file.

    Args:
        path: of the file; an older one is replaced.
        logs: the figures of each log, in the order of the report.
        meta: title, protocol and facts.
        sections: what follows the logs.
    """
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"shown": _shown, "signed": _signed}
    ids = count()
    quoted = [log for log in logs if not log.checks_failed]
    compared = [(log, each) for log in quoted for each in log.comparisons]
    p_holm = holm(np.array([each.p for _, each in compared])).tolist()
    page = environment.get_template("report.html").render(
        **_CONSTANTS,
        meta=meta,
        logs=logs,
        quoted=quoted,
        sections=sections,
        plots=plots,
        remarks=list(chain.from_iterable(remarks(log) for log in logs)),
        gains=[(log.name, each, p) for (log, each), p in zip(compared, p_holm, strict=True)],
        best=_best,
        html_of=lambda plot: _html(plot, next(ids)),
        plotly=Markup(get_plotlyjs()),
    )
    path.write_text(page, encoding="utf-8")


def _best(log: Figures, column: str) -> float:
    return max(float(getattr(each, column)) for each in log.scores)


def _html(plot: go.Figure, number: int) -> Markup:
    """Return a plot as a part of the page; the page holds the library once."""
    return Markup(
        to_html(
            plot,
            full_html=False,
            include_plotlyjs=False,
            div_id=f"plot-{number}",
            config={"displaylogo": False, "displayModeBar": False, "responsive": True},
        )
    )


def _shown(value: float | None, form: str) -> str:
    return MISSING if value is None else format(value, form)


def _signed(value: float | None, form: str = ".1f") -> str:
    return MISSING if value is None else format(value, f"+{form}").replace("-", "\N{MINUS SIGN}")
