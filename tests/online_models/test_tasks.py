"""The tasks are what the schema makes of them."""

from freshet.core.events.schema import EVENT_TYPES
from online_models.tasks import CONVERSION, TASKS


def test_a_conversion_says_more_than_a_click() -> None:
    """Like, cart, purchase, share and follow; neither a rating, whatever its stars, nor a dwell."""
    names = {name for name, so in zip(EVENT_TYPES, CONVERSION, strict=True) if so}
    assert names == {"like", "cart", "purchase", "share", "follow"}


def test_the_click_comes_first() -> None:
    """All others are foreseen given it."""
    assert TASKS[0] == "click"
