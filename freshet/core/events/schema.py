"""The event and catalogue schema: one definition for Kafka, HTTP, recorded logs and training.

Law: the order of `EVENT_TYPES` is part of the state layout (records count by its index); append,
never reorder.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import numpy as np
from msgspec import Meta, Struct

EventType = Literal[
    "impression",
    "click",
    "view",
    "dwell",
    "like",
    "dislike",
    "cart",
    "purchase",
    "hide",
    "rating",
    "report",
    "skip",
    "share",
    "follow",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)
TYPE_CODES: dict[str, int] = {name: code for code, name in enumerate(EVENT_TYPES)}
IMPRESSION = TYPE_CODES["impression"]
CLICK = TYPE_CODES["click"]
RATING = TYPE_CODES["rating"]
DISLIKE = TYPE_CODES["dislike"]

EARLIEST_TS_MS = 631_152_000_000  # 1990-01-01: seconds taken for milliseconds fall before it
LATEST_TS_MS = 4_102_444_800_000  # 2100-01-01
MAX_FUTURE_MS = 300_000  # a producer's clock may run this far ahead of its log
MAX_EVENT_BYTES = 16_384

Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
TimestampMs = Annotated[
    int,
    Meta(ge=EARLIEST_TS_MS, le=LATEST_TS_MS, description="milliseconds since the epoch, UTC"),
]


def _by_type(default: float, **named: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([named.get(name, default) for name in EVENT_TYPES], dtype=np.float32)


INTERACTION = _by_type(1, impression=0) > 0
"""(n_types,) bool: the types that enter a user's history; impressions are only counted."""

REJECTION = _by_type(0, dislike=1, hide=1, report=1) > 0
"""(n_types,) bool: the user says "not for me"; the item is not offered to them again."""

TAKES_BACK = _by_type(0, like=1, cart=1, purchase=1, rating=1, share=1, follow=1) > 0
"""(n_types,) bool: a later one of these, on the same item, takes a rejection back."""

ENCODED = INTERACTION & ~REJECTION & (_by_type(1, skip=0) > 0)
"""(n_types,) bool: what models of sequences read: neither rejections nor skips nor impressions."""

VISIT = _by_type(0, click=1, view=1, cart=1, purchase=1, rating=1) > 0
"""(n_types,) bool: the types that make a transition previous -> next for co-visitation."""

PREFERENCE = _by_type(
    0, click=1, view=0.5, dwell=0.5, like=2, cart=2, purchase=3, rating=1, share=2, follow=2,
    dislike=-1, hide=-1, report=-2, skip=-0.5,
)  # fmt: skip
"""(n_types,) float32: weight of an event in the session embedding; negative pushes away."""

TREND_WEIGHT = _by_type(
    0, click=1, view=1, like=2, cart=2, purchase=2, rating=1, share=2, follow=2
).astype(np.uint32)
"""(n_types,) uint32: what an event adds to the trending counters; whole, so that sums are exact.

No more than 2: what one person adds must not lead a list, also where there is little else.
"""


def effective_type(kind: int, value: float | None, low_rating: float) -> int:
    """Return the type code that an event counts as: a rating of few stars is a dislike.

    A rating without a value, or with one that is not a number, stays a rating.

    Args:
        kind: type code of the event.
        value: of the event.
        low_rating: the most stars of a dislike; see the setting.

    >>> EVENT_TYPES[effective_type(RATING, 1.5, 2.0)], EVENT_TYPES[effective_type(RATING, None, 2)]
    ('dislike', 'rating')
    """
    return DISLIKE if kind == RATING and value is not None and value <= low_rating else kind


def effective_types(
    kinds: np.ndarray[Any, Any], values: np.ndarray[Any, Any], low_rating: float
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the type codes that events count as, (n,) uint8; see `effective_type`.

    Args:
        kinds: (n,) type codes.
        values: (n,) float, nan where an event has no value.
        low_rating: the most stars of a dislike.

    >>> effective_types(np.array([RATING, RATING, CLICK]), np.array([2, np.nan, 0.5]), 2.0).tolist()
    [5, 9, 1]
    """
    low = (kinds == RATING) & (values <= low_rating)
    return np.where(low, DISLIKE, kinds).astype(np.uint8)


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One fact: a person did something to an item.

    `value` is the magnitude of the type: seconds of a `dwell`, the stars of a `rating` (few of them
    are a dislike, see `effective_type`), the price paid at a `purchase`; else it means nothing.
    `request_id` and `position` (from 0) name the slot of the answer that the event responds to.
    """

    event_id: Annotated[str, Meta(min_length=1, max_length=64)]
    type: EventType
    user_id: Identifier
    item_id: Identifier
    ts_ms: TimestampMs
    session_id: Identifier | None = None
    request_id: Annotated[str, Meta(max_length=64)] | None = None
    position: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    value: float | None = None
    context: dict[str, Any] | None = None


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the catalogue. Only items of the catalogue are ever recommended."""

    item_id: Identifier
    title: Annotated[str, Meta(max_length=512)] = ""
    categories: Annotated[list[Annotated[str, Meta(max_length=128)]], Meta(max_length=32)] = []
    created_ts_ms: TimestampMs | None = None
    price: Annotated[float, Meta(ge=0)] | None = None
    attributes: dict[str, str | float | bool | None] = {}


class Slot(Struct, frozen=True, kw_only=True):
    """One position of an answer, as it was decided.

    Attributes:
        propensity: probability in (0, 1] that the policy puts this item here, given the slots
            before it.
    """

    item_id: str
    position: int
    score: float
    source: str
    reason: str
    propensity: float
    explored: bool


class Slate(Struct, frozen=True, kw_only=True):
    """An answer as logged for training and off-policy evaluation.

    Attributes:
        features: little-endian float16, (n_slots, n_features), in the order of the feature
            schema whose hash is `feature_schema`.
    """

    request_id: str
    user_id: str
    ts_ms: int
    policy: str
    model_version: str
    quality: str
    feature_schema: str
    slots: list[Slot]
    features: bytes
