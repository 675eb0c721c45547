"""Forests to an ONNX graph, node by node, so that it decides as the forests do.

Law: a row goes the same way in both. LightGBM splits at doubles, the graph at float32; a threshold
becomes the largest float32 that is not above it, and no float32 lies between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from online_models.features import FEATURES
from online_models.tasks import GIVEN_CLICK, TASKS

_OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION: Final = 9

Node = dict[str, Any]
"""A node of a tree as LightGBM dumps it, its children inside."""

Forest = Sequence[Node]
"""The roots of trees whose sum is a score; without any it is 0."""


def forest_graph(
    forests: Sequence[Forest], slopes: NDArray[np.float32], intercepts: NDArray[np.float32]
) -> bytes:
    """Return ONNX of `features` (n, F) to (n, T) probabilities of the tasks.

    Args:
        forests: (T,) whose scores are those of the tasks.
        slopes: (T,) of the lines that make scores log-odds.
        intercepts: (T,) likewise.
    """
    scores = [f"score_{task}" for task in TASKS]  # (n, 1) each
    follow = int(GIVEN_CLICK.sum())
    nodes = [
        *(_ensemble(forest, score) for forest, score in zip(forests, scores, strict=True)),
        helper.make_node("Concat", scores, ["scores"], axis=1),
        helper.make_node("Mul", ["scores", "slopes"], ["scaled"]),
        helper.make_node("Add", ["scaled", "intercepts"], ["log_odds"]),
        helper.make_node("Sigmoid", ["log_odds"], ["given"]),
        helper.make_node("Split", ["given", "widths"], ["click", "followed", "others"], axis=1),
        helper.make_node("Mul", ["click", "followed"], ["follows"]),
        helper.make_node("Concat", ["click", "follows", "others"], ["output"], axis=1),
    ]
    weights: dict[str, NDArray[Any]] = {
        "slopes": slopes,
        "intercepts": intercepts,
        "widths": np.array([1, follow, len(TASKS) - 1 - follow]),
    }
    rows = {"features": len(FEATURES), "output": len(TASKS)}
    features, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
        for name, width in rows.items()
    )
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "forests", [features], [output], tensors)
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def float32_at_most(threshold: float) -> float:
    """Return the largest finite float32 that is not above a threshold.

    >>> float32_at_most(0.5), float32_at_most(1e300) < 4e38
    (0.5, True)
    >>> float32_at_most(0.1) <= 0.1 < float(np.nextafter(np.float32(0.1), np.float32(1)))
    True
    """
    with np.errstate(over="ignore"):
        rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


def _ensemble(forest: Forest, output: str) -> onnx.NodeProto:
    """Return the node that adds up trees: `features` to (n, 1)."""
    roots = forest or [{"leaf_value": 0.0}]
    nodes = [(tree, *node) for tree, root in enumerate(roots) for node in _nodes(root)]
    *columns, values = (list(column) for column in zip(*nodes, strict=True))
    tree_ids, node_ids, modes, *_ = columns
    leaf = [mode == "LEAF" for mode in modes]
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        [output],
        domain="ai.onnx.ml",
        n_targets=1,
        target_ids=[0] * sum(leaf),
        target_treeids=list(compress(tree_ids, leaf)),
        target_nodeids=list(compress(node_ids, leaf)),
        target_weights=list(compress(values, leaf)),
        **dict(zip(_COLUMNS, columns, strict=True)),
    )


_COLUMNS: Final = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_modes",
    "nodes_featureids",
    "nodes_values",
    "nodes_truenodeids",
    "nodes_falsenodeids",
)


def _nodes(root: Node) -> Iterator[tuple[int, str, int, float, int, int, float]]:
    """Yield the nodes of a tree, each behind its parent: `_COLUMNS` but the first, and the value.

    Raises:
        ValueError: a split asks something else than whether a feature is at most a threshold.
    """
    waiting = [root]
    for number, node in enumerate(waiting):  # it grows while it is walked
        if "leaf_value" in node:
            yield number, "LEAF", 0, 0.0, 0, 0, float(node["leaf_value"])
            continue
        if node["decision_type"] != "<=":
            raise ValueError(f"a split decides by {node['decision_type']!r}, expected '<='")
        left = len(waiting)
        waiting += [node["left_child"], node["right_child"]]
        threshold = float32_at_most(node["threshold"])
        yield number, "BRANCH_LEQ", node["split_feature"], threshold, left, left + 1, 0.0
