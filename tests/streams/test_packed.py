"""Values in a row: what went in comes out, whole or in groups."""

from hypothesis import given
from hypothesis import strategies as st

from streams.packed import NOTHING, Packed

VALUES = st.lists(st.binary(max_size=5), max_size=12)


def test_nothing_holds_nothing() -> None:
    """No bytes, no values, no groups."""
    assert Packed.of([])._replace(lengths=()) == NOTHING
    assert (NOTHING.values(), NOTHING.split([])) == ([], [])
    assert [group.values() for group in NOTHING.split([0, 0])] == [[], []]


@given(VALUES)
def test_values_come_back(values: list[bytes]) -> None:
    """Empty ones too, in their order."""
    assert Packed.of(values).values() == values


@given(st.lists(VALUES, max_size=5))
def test_groups_come_back(groups: list[list[bytes]]) -> None:
    """Of any sizes, none among them."""
    packed = Packed.of([value for group in groups for value in group])
    assert [each.values() for each in packed.split(list(map(len, groups)))] == groups
