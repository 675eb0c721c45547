"""The tasks are what the schema makes of them."""

import numpy as np

from freshet.core.events.schema import EVENT_TYPES
from online_models.tasks import CONVERSION, GIVEN_CLICK, NEGATIVE, TASKS, counted


def test_a_conversion_says_more_than_a_click() -> None:
    """Like, cart, purchase, share and follow; neither a rating, whatever its stars, nor a dwell."""
    names = {name for name, so in zip(EVENT_TYPES, CONVERSION, strict=True) if so}
    assert names == {"like", "cart", "purchase", "share", "follow"}


def test_the_tasks_stand_in_the_order_of_the_graph() -> None:
    """The click first, then what is predicted given it, then what needs none."""
    assert TASKS == ("click", "dwell", "conversion", "negative")
    assert GIVEN_CLICK.tolist() == [False, True, True, False]
    assert TASKS[NEGATIVE] == "negative"


def test_each_task_counts_on_rows_of_its_own() -> None:
    """A row that nobody responded to says something of clicks alone."""
    nothing, clicked = [False] * 4, [True, False, False, False]
    rejected, both = [False, False, False, True], [True, False, False, True]
    assert counted(np.array([nothing, clicked, rejected, both])).tolist() == [
        [True, False, False, False],
        [True, True, True, True],
        [True, False, False, True],
        [True, True, True, True],
    ]
