"""Content as numbers: stable, bounded, and alike for alike items."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.schema import Item
from online_models.content import CONTENT_DIM, encode_content

ITEMS = st.builds(
    Item,
    item_id=st.just("a"),
    title=st.text(max_size=60),
    categories=st.lists(st.text(max_size=12), max_size=4),
    price=st.none() | st.floats(0, 1e12),
    attributes=st.dictionaries(
        st.text(max_size=8),
        st.none() | st.booleans() | st.text(max_size=8) | st.floats(),
        max_size=4,
    ),
)


@given(st.lists(ITEMS, max_size=5))
def test_any_item_has_a_bag_of_unit_length_or_none(items: list[Item]) -> None:
    """Whatever its title, categories and attributes hold."""
    bags = encode_content(items)
    assert bags.shape == (len(items), CONTENT_DIM)
    assert bags.dtype == np.float32
    for norm in np.linalg.norm(bags, axis=1):
        assert norm == pytest.approx(1, abs=1e-5) or norm == 0


@given(ITEMS, ITEMS)
def test_a_bag_depends_on_its_item_alone(item: Item, other: Item) -> None:
    """Not on its neighbours, nor on its id."""
    alone = encode_content([item])[0]
    assert np.array_equal(encode_content([other, item])[1], alone)


def test_known_bags_never_change() -> None:
    """Bundles on disk rely on these places; another place needs another CONTENT_SCHEMA."""
    bag = encode_content([Item(item_id="a", title="Red", categories=["Shoes"])])[0]
    assert {int(place): round(float(bag[place]), 4) for place in np.flatnonzero(bag)} == {
        206: 0.8944,
        421: 0.4472,
    }


def test_alike_items_have_alike_bags() -> None:
    """Case and order of the words do not matter; a shared category brings items together."""
    first, shuffled, near, far = encode_content(
        [
            Item(item_id="a", title="Winter River", categories=["Drama"]),
            Item(item_id="b", title="river WINTER", categories=["drama"]),
            Item(item_id="c", title="Summer Lake", categories=["Drama"]),
            Item(item_id="d", title="Copper Field", categories=["Comedy"]),
        ]
    )
    assert first @ shuffled == pytest.approx(1)
    assert first @ near > 0.5 > abs(first @ far)


def test_words_and_categories_are_told_apart() -> None:
    """A title that names a category is not in it."""
    word, category = encode_content(
        [Item(item_id="a", title="drama"), Item(item_id="b", categories=["drama"])]
    )
    assert abs(word @ category) < 0.5


def test_numbers_are_compared_by_magnitude() -> None:
    """9.99 and 10.49 are about the same price, 900 is another."""
    low, alike, high = encode_content(
        [Item(item_id=str(price), price=price) for price in (9.99, 10.49, 900.0)]
    )
    assert np.array_equal(low, alike)
    assert not np.array_equal(low, high)
