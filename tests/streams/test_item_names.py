"""Every item keeps its number, and its hash is that of its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes
from streams.item_names import ItemNames


@given(st.lists(st.lists(st.text(max_size=5), max_size=400), max_size=4))
def test_numbers_name_their_items(batches: list[list[str]]) -> None:
    """Whatever was asked before."""
    items = ItemNames()
    for batch in batches:
        numbers = items.numbers(batch)
        assert [items.names[number] for number in numbers.tolist()] == batch
        assert items.hashes(numbers).tolist() == item_hashes(batch).tolist()
    assert len(items.names) == len({name for batch in batches for name in batch})


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone may invent them."""
    monkeypatch.setattr("streams.item_names.MOST_NAMES", 3)
    items = ItemNames()
    items.numbers(["a", "b", "c", "d"])
    numbers = items.numbers(["e"])
    assert items.names == ["e"]
    assert items.hashes(numbers).tolist() == item_hashes(["e"]).tolist()
