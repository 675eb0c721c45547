"""Examples: answers together with what people did with them, as training and evaluation read them.

Law: an example is named by the record of `slates` that ended its wait, and by its place among those
that the same record ended. Names ascend within a partition, so whoever has read one drops it, and
all before it, when they come again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import EMPTY, UNDECODABLE
from freshet.core.events.schema import TYPE_CODES, Slate

MOST_DWELL_S: Final = 86_400.0
OUTCOME_DTYPE = np.dtype(
    [
        ("offset", "<i8"),  # of the event in its partition
        ("ts_ms", "<i8"),
        ("item", "<u4"),  # hash of the item
        ("value", "<f4"),
        ("type", "u1"),
    ]
)
"""An event that names an answer, as the user fold tells the joiner of it, and as it waits there."""


class Example(Struct, frozen=True, kw_only=True):
    """One answer with its outcome; n slots, in the order in which they were shown.

    Whose it is does not stand in it. Columns are little-endian bytes, as in `Slate`.

    Attributes:
        item_ids: (n,).
        positions: (n,) uint16, from 0.
        propensities: (n,) float32; see `Slot`.
        explored: (n,) bool.
        features: (n, F) float16, in the order of the schema `feature_schema`; empty where the
            answer was made without any.
        responses: (n,) uint16; bit t is set when an event of type t, as `TYPE_CODES` has it,
            named the slot.
        dwell_s: (n,) float32, seconds of all `dwell` events.
        record: offset in `slates` of the record that ended the wait.
        place: among the examples whose wait the record ended.
    """

    request_id: str
    ts_ms: int
    policy: str
    model_version: str
    feature_schema: str
    item_ids: list[str]
    positions: bytes
    propensities: bytes
    explored: bytes
    features: bytes
    responses: bytes = b""
    dwell_s: bytes = b""
    record: int = -1
    place: int = 0

    @property
    def name(self) -> tuple[int, int]:
        """What ascends within a partition."""
        return self.record, self.place

    def column(self, name: str) -> NDArray[Any]:
        """Return a column as an array, (n,), or (n, F) for the features.

        Raises:
            ValueError: it is not of n rows.
        """
        n = len(self.item_ids)
        values = np.frombuffer(getattr(self, name), COLUMNS[name])
        if name == "features":
            return values.reshape(n, -1) if n else values.reshape(0, 0)
        if len(values) != n:
            raise ValueError(f"{name} has {len(values)} rows, expected {n}")
        return values

    def had(self, kind: str) -> NDArray[np.bool_]:
        """Return (n,) whether an event of a type named the slot."""
        return np.asarray(self.column("responses") >> TYPE_CODES[kind] & 1, np.bool_)

    def examined(self) -> NDArray[np.bool_]:
        """Return (n,) which slots were looked at: all down to the last that had any event.

        What is below it may never have been on the screen, so it says nothing.
        """
        positions, answered = self.column("positions"), self.column("responses") > 0
        last = positions[answered].max(initial=0) if answered.any() else -1
        return np.asarray(positions <= last)


COLUMNS: Final[dict[str, np.dtype[Any]]] = {
    "positions": np.dtype("<u2"),
    "propensities": np.dtype("<f4"),
    "explored": np.dtype("?"),
    "features": np.dtype("<f2"),
    "responses": np.dtype("<u2"),
    "dwell_s": np.dtype("<f4"),
}
"""The columns of an example, and what each is of."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Example)


def example_of(slate: Slate) -> Example:
    """Return the example that a slate will be, without an outcome."""
    slots = slate.slots
    return Example(
        request_id=slate.request_id,
        ts_ms=slate.ts_ms,
        policy=slate.policy,
        model_version=slate.model_version,
        feature_schema=slate.feature_schema,
        item_ids=[slot.item_id for slot in slots],
        positions=_packed("positions", [slot.position for slot in slots]),
        propensities=_packed("propensities", [slot.propensity for slot in slots]),
        explored=_packed("explored", [slot.explored for slot in slots]),
        features=slate.features,
    )


def encode_example(example: Example) -> bytes:
    """Return an example as it travels on Kafka: msgpack, a map by name."""
    return _ENCODER.encode(example)


def decode_example(raw: bytes | None) -> Example:
    """Return the example in a record.

    Raises:
        EventError: it is none.
    """
    if not raw:
        raise EventError(EMPTY, "the record has no value")
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventError(UNDECODABLE, f"no example: {error}") from error


def _packed(name: str, values: list[Any]) -> bytes:
    return np.array(values, COLUMNS[name]).tobytes()
