"""The verdict on a policy that was never live, from slots that another one logged; or none.

Law: a figure is given only where the log can carry it. Few effective rounds, or weights that do
not average one, are a refusal that says what was found and what is needed.

What is judged is a table: the probability of each item in each context. A context is whatever the
policy may look at, cut into cells: a position, a segment, a campaign.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import Event, Slate
from online_models.maths.bandit_prior import learn_click_prior, shrunk_rate
from online_models.maths.examination import examination_curve, examined
from online_models.maths.off_policy import (
    Estimate,
    clipped_ips,
    direct_method,
    doubly_robust,
    effective_rounds,
    estimate,
    importance_weights,
    ips,
    shrunk_doubly_robust,
    snips,
)

LEAST_EFFECTIVE_ROUNDS: Final = 500
LEAST_EFFECTIVE_SHARE: Final = 0.01
LARGEST_CLIPPED_WEIGHT: Final = 20.0
BIASED: Final = frozenset({"clipped_ips", "dm", "dr_os"})
_FAR_FROM_ONE: Final = 5.0  # standard errors of the mean weight: by chance once in 10^6

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LoggedSlots:
    """n slots that a policy filled by chance.

    Attributes:
        contexts: (n,) codes of what the policies may look at.
        items: (n,) codes of what was shown.
        propensities: (n,) in (0, 1], as logged.
        clicks: (n,) 0 or 1.
        groups: (n,) codes of the requests or people, whose slots are not independent.
    """

    contexts: Codes
    items: Codes
    propensities: Floats
    clicks: Floats
    groups: Codes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a log says of a policy.

    Attributes:
        rounds: slots of the log.
        effective_rounds: what they are worth after weighting.
        largest_weight: of a slot.
        mean_weight: near 1 where propensities and support are as they should be.
        logged: click rate of the policy that logged.
        estimates: by estimator, the click rate of the judged policy; empty where refused. Those
            in `BIASED` are values without an interval: it would leave out their bias, and measured
            on simulated logs it holds the truth far too rarely (`benchmarks/off_policy.py`).
        refusal: why there is no figure; None where there is.
    """

    rounds: int
    effective_rounds: float
    largest_weight: float
    mean_weight: float
    logged: Estimate
    estimates: dict[str, Estimate]
    refusal: str | None


def judge(log: LoggedSlots, target: Floats) -> Verdict:
    """Return what a log says of a policy.

    Args:
        log: at least one slot.
        target: (contexts, items) probability of each item in each context.

    Raises:
        ValueError: a propensity or a probability is outside its bounds.
    """
    weights = importance_weights(target[log.contexts, log.items], log.propensities)
    refusal = _refusal(weights)
    return Verdict(
        rounds=len(weights),
        effective_rounds=effective_rounds(weights),
        largest_weight=float(weights.max()),
        mean_weight=float(weights.mean()),
        logged=estimate(log.clicks, log.groups),
        estimates={} if refusal else _estimates(log, target),
        refusal=refusal,
    )


def _estimates(log: LoggedSlots, target: Floats) -> dict[str, Estimate]:
    found = {name: estimate(each, log.groups) for name, each in contributions(log, target).items()}
    for name in BIASED:
        found[name] = Estimate(found[name].value, math.nan, math.nan)
    return found


def _refusal(weights: Floats) -> str | None:
    n, effective = len(weights), effective_rounds(weights)
    needed = max(LEAST_EFFECTIVE_ROUNDS, LEAST_EFFECTIVE_SHARE * n)
    if effective < needed:
        more = f"about {needed * n / effective:,.0f} slots, or " if effective else ""
        return (
            f"{n:,} slots are worth {effective:,.0f} under this policy (largest weight "
            f"{weights.max():,.1f}), at least {needed:,.0f} are needed: log {more}"
            "with a policy nearer to the judged one"
        )
    error = weights.std() / np.sqrt(n)
    if abs(weights.mean() - 1) > _FAR_FROM_ONE * error + 1e-9:
        return (
            f"the weights average {weights.mean():.3f} +- {error:.3f}, expected 1: either the "
            "logged propensities are false, or the judged policy shows items that the log cannot"
        )
    return None


def contributions(log: LoggedSlots, target: Floats) -> dict[str, Floats]:
    """Return the (n,) contributions of each estimator; see `judge`."""
    weights = importance_weights(target[log.contexts, log.items], log.propensities)
    predicted, expected = cross_fitted(log, target)
    return {
        "ips": ips(log.clicks, weights),
        "clipped_ips": clipped_ips(log.clicks, weights, LARGEST_CLIPPED_WEIGHT),
        "snips": snips(log.clicks, weights),
        "dm": direct_method(expected),
        "dr": doubly_robust(log.clicks, weights, predicted, expected),
        "dr_os": shrunk_doubly_robust(log.clicks, weights, predicted, expected),
    }


def cross_fitted(log: LoggedSlots, target: Floats) -> tuple[Floats, Floats]:
    """Return what a reward model expects, (n,) of the logged items and (n,) of the judged policy.

    Each half of the groups is predicted by a model of the other half, so that no slot is explained
    by its own click.
    """
    predicted, expected = np.zeros(len(log.items)), np.zeros(len(log.items))
    for half in (0, 1):
        mine = log.groups % 2 == half
        rates = reward_model(log, ~mine, target.shape)
        predicted[mine] = rates[log.contexts[mine], log.items[mine]]
        expected[mine] = (target * rates).sum(axis=1)[log.contexts[mine]]
    return predicted, expected


def reward_model(log: LoggedSlots, used: NDArray[np.bool_], shape: tuple[int, ...]) -> Floats:
    """Return click rates by the position-based model, (contexts, items).

    The rate of a context times that of an item, which is shrunk towards the rate of all items.
    """
    cells = log.contexts[used], log.items[used]
    shown, clicked = np.zeros(shape), np.zeros(shape)  # (contexts, items)
    np.add.at(shown, cells, 1)
    np.add.at(clicked, cells, log.clicks[used])
    curve = examination_curve(shown.T, clicked.T)  # (contexts,)
    looked_at, clicks = examined(shown.T, curve), clicked.sum(axis=0)  # (items,)
    prior = learn_click_prior(looked_at, clicks, np.empty((shape[1], 0), np.int64))
    rates = shrunk_rate(looked_at, clicks, prior.uncategorised_rate, prior.strength)
    return np.asarray(curve[:, None] * rates)


# --- reading logs ---


class _Row(msgspec.Struct):
    item_id: str
    position: int
    propensity: float
    click: int
    policy: str
    campaign: str


def read_slots(path: Path, policy: str, campaign: str) -> tuple[LoggedSlots, list[str]]:
    """Return the slots of a log with the items' ids by code; contexts are positions, from 0.

    Args:
        path: JSON lines, gzip: `item_id`, `position`, `propensity`, `click`, `policy`, `campaign`.
        policy: whose slots are read.
        campaign: of the slots that are read.
    """
    with gzip.open(path) as lines:
        decoded = (msgspec.json.decode(line, type=_Row) for line in lines)
        rows = [row for row in decoded if (row.policy, row.campaign) == (policy, campaign)]
    return _slots([(row.position, row.item_id, row.propensity, row.click) for row in rows])


def slots_of_slates(
    slates: Iterable[Slate], clicks: Iterable[Event], matured_before_ms: int
) -> tuple[LoggedSlots, list[str]]:
    """Return the first explored slot of each matured slate, with the items' ids by code.

    Propensities of later slots are given the slots before them, which a table of a policy does
    not know; fixed slots have no chance in them.

    Args:
        slates: as the server logged them.
        clicks: events of type `click` that name the request that they respond to.
        matured_before_ms: a slate from then on may yet be clicked, and says nothing.
    """
    clicked = {(event.request_id, event.item_id) for event in clicks}
    rows = []
    for slate in slates:
        first = next((slot for slot in slate.slots if slot.explored), None)
        if first is not None and slate.ts_ms < matured_before_ms:
            click = int((slate.request_id, first.item_id) in clicked)
            rows.append((first.position, first.item_id, first.propensity, click))
    return _slots(rows)


def _slots(rows: Sequence[tuple[Any, ...]]) -> tuple[LoggedSlots, list[str]]:
    ids, items = np.unique([row[1] for row in rows], return_inverse=True)
    _, contexts = np.unique([row[0] for row in rows], return_inverse=True)
    propensities, clicks = (np.array([row[column] for row in rows], float) for column in (2, 3))
    return LoggedSlots(contexts, items, propensities, clicks, np.arange(len(rows))), ids.tolist()
