"""A graph sends every row the way its trees do, at each threshold and beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURE_LIMIT, FEATURES
from online_models.tasks import TASKS
from online_models.training.challenger_graph import Node, float32_at_most, forest_graph

pytestmark = pytest.mark.training

_LINES = (np.array([1.0, 2.0, 0.5, 0.7], np.float32), np.array([-1.0, 0.0, 0.3, 0.1], np.float32))
_HALVES = np.array([0.1, -0.1, 1 / 3, 6e-8, 2.5, FEATURE_LIMIT, -FEATURE_LIMIT], np.float16)


def split(feature: int, threshold: float, left: Node, right: Node) -> Node:
    return {
        "split_feature": feature,
        "threshold": threshold,
        "decision_type": "<=",
        "left_child": left,
        "right_child": right,
    }


def leaf(value: float) -> Node:
    return {"leaf_value": value}


def walked(forest: list[Node], row: NDArray[np.float32]) -> float:
    """The slow twin: the sum of the leaves that a row comes to, in double precision."""
    total = 0.0
    for root in forest:
        node = root
        while "leaf_value" not in node:
            left = float(row[node["split_feature"]]) <= node["threshold"]
            node = node["left_child"] if left else node["right_child"]
        total += node["leaf_value"]
    return total


def answers(forests: list[list[Node]], rows: NDArray[np.float32], folder: Path) -> NDArray[Any]:
    path = folder / "ranker.onnx"
    path.write_bytes(forest_graph(forests, *_LINES))
    return OnnxModel(path)(features=rows)


def expected(forests: list[list[Node]], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    scores = np.array([[walked(forest, row) for forest in forests] for row in rows])
    given_click = 1 / (1 + np.exp(-(scores * _LINES[0] + _LINES[1])))
    given_click[:, 1:3] *= given_click[:, :1]
    return given_click


def thresholds() -> list[float]:
    """What float16 holds, what lies between two of them, and what neither float holds."""
    between = (_HALVES.astype(float) + np.nextafter(_HALVES, np.float16(np.inf)).astype(float)) / 2
    near = np.nextafter(_HALVES.astype(float), np.inf)
    return [*_HALVES.astype(float), *between, *near, 0.1, 1e-35, -1e-35, 0.0, 1e300, -1e300]


@pytest.mark.parametrize("threshold", thresholds())
def test_at_a_threshold_and_beside_it(threshold: float, tmp_path: Path) -> None:
    """The float32 next to it on both sides, and the limits of a feature."""
    forests = [
        [split(2, threshold, leaf(-1), leaf(1))],
        [],
        [split(1, threshold, leaf(1), leaf(2))],
        [split(3, threshold, leaf(-2), leaf(0))],
    ]
    with np.errstate(over="ignore"):
        near = np.clip(np.float32(threshold), -FEATURE_LIMIT, FEATURE_LIMIT)
    values = np.array([*(np.nextafter(near, np.float32(to)) for to in (-99, 99)), near, *_HALVES])
    rows = np.repeat(values[:, None], len(FEATURES), axis=1).astype(np.float32)
    assert np.abs(answers(forests, rows, tmp_path) - expected(forests, rows)).max() < 1e-6


def test_many_trees_of_many_shapes(tmp_path: Path) -> None:
    """Against the walk through each tree, one row at a time."""
    rng = np.random.default_rng(0)

    def grow(depth: int) -> Node:
        if not depth or rng.random() < 0.2:
            return leaf(float(rng.normal()) / 10)
        return split(
            int(rng.integers(len(FEATURES))), float(rng.normal()), *(grow(depth - 1) for _ in "lr")
        )

    forests = [[grow(5) for _ in range(count)] for count in (40, 0, 7, 11)]
    rows = rng.normal(size=(200, len(FEATURES))).astype(np.float16).astype(np.float32)
    found = answers(forests, rows, tmp_path)
    assert found.shape == (200, len(TASKS))
    assert np.abs(found - expected(forests, rows)).max() < 1e-5
    assert np.array_equal(answers(forests, rows[:1], tmp_path), found[:1])


@given(st.floats(allow_nan=False), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_no_float32_lies_between_a_threshold_and_its_own(threshold: float, value: float) -> None:
    """So that every value is on the same side of both."""
    rounded = float32_at_most(threshold)
    assert (value <= rounded) == (value <= threshold)


def test_another_kind_of_split_is_refused() -> None:
    """Categories and missing values are not ours."""
    with pytest.raises(ValueError, match="'=='"):
        forest_graph(
            [[split(0, 0.5, leaf(0), leaf(1)) | {"decision_type": "=="}], [], [], []], *_LINES
        )
