"""How the product comes back after the world has changed, without being told that it has.

Law: the change is made, so it is known exactly when it came. Nothing in the product looks for it;
what recovers are counters that forget, histories that are short, and models that are trained anew.
The log without the change, judged alike, shows what would have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from freshet.core.events.schema import Event
from online_models.maths.accuracy import gains_at
from online_models.training.histories import Histories
from replay.evaluate.outcome import Outcome
from replay.evaluate.plots import BASELINE_COLOUR, GREY, PRODUCT_COLOUR
from replay.evaluate.report import Section
from replay.evaluate.request import PRODUCT

RECOVERED: Final = 0.95  # of the level before
WINDOW: Final = 150  # requests

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rolling:
    """NDCG@10 of the last requests, as one who watches would see it.

    Attributes:
        events: (m,) events from the change to the newest request of each window.
        ndcg10: (m,) mean over the window.
    """

    events: list[int]
    ndcg10: list[float]


@dataclass(frozen=True, slots=True)
class Recovery:
    """A change and what followed; becomes JSON as it is.

    Attributes:
        name: of the log.
        contestant: who is looked at.
        drift_at: the first event of the changed world.
        drift_ts_ms: its time.
        window: requests of a rolling mean.
        level_before: mean NDCG@10 of all requests that were judged before the change.
        lowest: the least rolling mean afterwards.
        level_after: mean NDCG@10 of the last quarter of the requests after the change.
        recovered_after_events: from the change to the end of the first window that reaches
            `RECOVERED` of the level before and after which the mean of the rest does too, since
            one good window may be luck; None when there is none.
        rolling: the rolling mean.
    """

    name: str
    contestant: str
    drift_at: int
    drift_ts_ms: int
    window: int
    level_before: float
    lowest: float
    level_after: float
    recovered_after_events: int | None
    rolling: Rolling


def swap_roles(
    events: Sequence[Event], drift_ts_ms: int, rng: np.random.Generator, share: float = 1.0
) -> list[Event]:
    """Return a log in which items play one another's roles from a time on.

    People go on as they did, under other names of items: who was popular no longer is, what
    followed an item follows another one, and each history speaks of tastes that are no more.
    Items that nobody had met by then keep their own roles.

    Args:
        events: in the order of time.
        drift_ts_ms: when roles change.
        rng: draws the new roles.
        share: of the items that were met before.
    """
    met = list(dict.fromkeys(each.item_id for each in events if each.ts_ms < drift_ts_ms))
    changing = [met[row] for row in rng.permutation(len(met))[: round(share * len(met))].tolist()]
    role = dict(zip(changing, [*changing[1:], *changing[:1]], strict=True))  # one cycle: all change
    return [
        each
        if each.ts_ms < drift_ts_ms or each.item_id not in role
        else msgspec.structs.replace(each, item_id=role[each.item_id])
        for each in events
    ]


def recovery_of(
    outcome: Outcome, drift_ts_ms: int, contestant: str = PRODUCT, window: int = WINDOW
) -> Recovery:
    """Return how someone came back.

    Args:
        outcome: of the log that changes.
        drift_ts_ms: when it does.
        contestant: who is looked at.
        window: requests of a rolling mean.

    Raises:
        ValueError: there are fewer requests than a window before or after the change.
    """
    log = outcome.log
    drift_at = int(np.searchsorted(log.ts_ms, drift_ts_ms))
    asked_at = Histories(log).asked_at[outcome.events]  # ascending
    before = int(np.searchsorted(asked_at, drift_at))
    after = len(asked_at) - before
    if min(before, after) < max(window, 4):
        raise ValueError(
            f"{before} requests before the change and {after} after it; expected {max(window, 4)} "
            "of each: ask more, or take a smaller window"
        )
    gains = gains_at(outcome.ranks(contestant), 10)
    level = float(gains[:before].mean())
    rolling = rolling_mean(gains, window)
    ends = asked_at[window - 1 :] - drift_at  # of the newest request of each window
    whole = rolling[before:]  # nothing of the world before is in these
    return Recovery(
        name=outcome.name,
        contestant=contestant,
        drift_at=drift_at,
        drift_ts_ms=drift_ts_ms,
        window=window,
        level_before=level,
        lowest=float(rolling[before - window + 1 :].min()),
        level_after=float(gains[len(gains) - after // 4 :].mean()),
        recovered_after_events=_recovered(gains[before:], whole, ends[before:], RECOVERED * level),
        rolling=Rolling(ends.tolist(), rolling.tolist()),
    )


def rolling_mean(values: Floats, window: int) -> Floats:
    """Return the (n - window + 1,) means of each value and those just before it.

    >>> rolling_mean(np.array([1.0, 0.0, 0.0, 2.0]), 2).tolist()
    [0.5, 0.0, 1.0]
    """
    sums = np.r_[0.0, values.cumsum()]
    return np.asarray((sums[window:] - sums[:-window]) / window)


def _recovered(
    gains: Floats, rolling: Floats, ends: NDArray[np.int64], wanted: float
) -> int | None:
    """Return the end of the first window at a level from which on the rest keeps it.

    Args:
        gains: (n,) of the requests after the change.
        rolling: (n - window + 1,) means of the windows among them.
        ends: (n - window + 1,) events from the change to the end of each window.
        wanted: the level.
    """
    window = len(gains) - len(rolling) + 1
    rest = gains[::-1].cumsum()[::-1] / np.arange(len(gains), 0, -1)  # (n,) mean from each on
    rest_behind = np.r_[rest[window:], np.inf]  # (n - window + 1,); nothing is behind the last
    there = np.flatnonzero((rolling >= wanted) & (rest_behind >= wanted))
    return int(ends[there[0]]) if len(there) else None


# --- the report ---


def section(found: Recovery, steady: Recovery | None = None) -> Section:
    """Return how someone came back as a part of the report.

    Args:
        found: on the log that changes.
        steady: on the log that does not.
    """
    wanted = f"{100 * RECOVERED:.0f} % of the level before"
    end = (
        f"It had not come back to {wanted} when the log ended."
        if found.recovered_after_events is None
        else f"It was back at {wanted} after {found.recovered_after_events:,} events, counting the "
        "window that showed it."
    )
    words = [
        "At one moment the world changed, and nothing was told of it: no detector, no reset. "
        f"NDCG@10 was {found.level_before:.4f} before, {found.lowest:.4f} in the worst "
        f"{found.window} requests in a row, and {found.level_after:.4f} in the last quarter. {end}",
    ]
    if steady is not None:
        words.append(
            "The dotted line is the same log without the change: what would have been. There the "
            f"level was {steady.level_before:.4f} before that moment, {steady.lowest:.4f} in the "
            f"worst window after it and {steady.level_after:.4f} in the end: no fall that is not "
            "deeper than this is a fall."
        )
    return Section(f"After a change: {found.name}", words, _plot(found, steady))


def _plot(found: Recovery, steady: Recovery | None) -> go.Figure:
    plot = go.Figure()
    lines = [("with the change", found, PRODUCT_COLOUR, "solid")]
    if steady is not None:
        lines.append(("without", steady, GREY, "dot"))
    for name, each, colour, dash in lines:
        plot.add_scatter(
            x=each.rolling.events,
            y=each.rolling.ndcg10,
            mode="lines",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate="%{y:.3f}",
        )
    plot.add_vline(x=0, line={"color": BASELINE_COLOUR, "width": 1.5})
    plot.add_hline(
        y=RECOVERED * found.level_before,
        line={"color": GREY, "width": 1, "dash": "dash"},
        annotation_text=f"{100 * RECOVERED:.0f} % of the level before",
    )
    plot.update_xaxes(title="events since the change")
    plot.update_yaxes(title=f"NDCG@10 of the last {found.window} requests", rangemode="tozero")
    plot.update_layout(hovermode="x unified")
    return plot
