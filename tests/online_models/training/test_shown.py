"""When a slate may be learned from."""

import numpy as np

from online_models.features import FEATURES
from online_models.tasks import TASKS
from online_models.training.shown import Shown, closed_before


def test_a_slate_is_learned_from_once_it_is_closed() -> None:
    """By the event before which a training takes place."""
    slates = [
        Shown(at, np.zeros((1, len(FEATURES)), np.float16), np.ones((1, len(TASKS)), np.bool_))
        for at in (3, 5, 7)
    ]
    assert [each.closed_at for each in closed_before(slates, 5)] == [3, 5]
