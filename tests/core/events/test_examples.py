"""Examples: columns as they were written, and which slots somebody looked at."""

import msgspec
import numpy as np
import pytest

from freshet.core.errors import EventError
from freshet.core.events.examples import Example, decode_example, encode_example, example_of
from freshet.core.events.schema import TYPE_CODES, Slate, Slot


def example(*kinds: tuple[str, ...]) -> Example:
    """An example of a slot for each tuple of event types."""
    slots = [
        Slot(item_id=f"i{at}", position=at, score=0.0, source="new", reason="", propensity=0.5,
             explored=at == 0)
        for at in range(len(kinds))
    ]  # fmt: skip
    slate = Slate(
        request_id="r", user_id="u", ts_ms=1, policy="p", model_version="m", quality="full",
        feature_schema="f", slots=slots, features=np.ones((len(kinds), 3), "<f2").tobytes(),
    )  # fmt: skip
    bits = [sum(1 << TYPE_CODES[kind] for kind in some) for some in kinds]
    return msgspec.structs.replace(
        example_of(slate),
        responses=np.array(bits, "<u2").tobytes(),
        dwell_s=np.zeros(len(kinds), "<f4").tobytes(),
    )


def test_an_example_survives_the_way() -> None:
    """Every column, and nothing of the person."""
    made = example(("impression",), ("impression", "click"), ())
    raw = encode_example(made)
    assert decode_example(raw) == made
    assert made.column("features").shape == (3, 3)
    assert made.column("explored").tolist() == [True, False, False]
    assert b"user" not in raw


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([], []),
        ([()], [False]),
        ([("impression",), ()], [True, False]),
        ([(), ("click",), ()], [True, True, False]),
        ([("impression",), (), ("hide",)], [True, True, True]),
    ],
)
def test_examined_is_what_is_above_the_last_response(
    kinds: list[tuple[str, ...]], expected: list[bool]
) -> None:
    """Also a slot without an event of its own."""
    assert example(*kinds).examined().tolist() == expected


def test_the_highest_type_has_a_bit() -> None:
    """The column has room for all of them."""
    for kind in TYPE_CODES:
        assert example((kind,)).had(kind).tolist() == [True]
        assert sum(example((kind,)).had(other).item() for other in TYPE_CODES) == 1


@pytest.mark.parametrize("raw", [None, b"", b"\xff", b"{}", msgspec.msgpack.encode({"ts_ms": 1})])
def test_what_is_no_example_is_refused(raw: bytes | None) -> None:
    """With a reason."""
    with pytest.raises(EventError):
        decode_example(raw)


def test_a_column_of_another_length_is_refused() -> None:
    """Before anyone reads past its end."""
    short = msgspec.structs.replace(example(("click",), ()), responses=b"\0\0")
    with pytest.raises(ValueError, match="responses has 1 rows, expected 2"):
        short.had("click")
