"""Whatever a trainer wrote, reading its figures raises nothing."""

from typing import Any

import pytest

from online_models.artifacts.figures import numbers, remarks, section


@pytest.mark.parametrize("metrics", [None, 1, "x", [], {"test": 1}, {"test": {"ranker": None}}])
def test_what_is_not_there_is_nothing(metrics: Any) -> None:
    """At any depth."""
    assert section(metrics, "test", "ranker") == {}
    assert numbers(metrics, "test", "ranker") == {}
    assert remarks(metrics) == []


def test_numbers_alone_are_figures() -> None:
    """Neither words nor truth values."""
    metrics = {"a": {"b": {"x": 1, "y": 0.5, "z": "0.5", "t": True, "n": None, "l": [1]}}}
    assert numbers(metrics, "a", "b") == {"x": 1, "y": 0.5}
