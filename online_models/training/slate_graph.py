"""The slate column of a ranker's graph: written node by node, so that any ranker may carry one.

Law: the weights of the head keep their names and values in the graph, so that what learns on from a
ranker in use carries its head along as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from online_models.features import FEATURES
from online_models.tasks import COLUMNS
from online_models.training.slate_head import INPUT_LIMIT, SlateHead

_PREFIX: Final = "slate_head."
_TASKS: Final = "tasks_of_ranker"  # what the graph answered before
_OUTPUT: Final = "output"


def with_slate_column(graph: bytes, head: SlateHead | None) -> bytes:
    """Return a graph that answers one column more, `COLUMNS` in place of `TASKS`.

    Args:
        graph: ONNX of `features` (n, F) to (n, T) probabilities of the tasks.
        head: gives the column; None for that of the click once more.
    """
    model = onnx.load_from_string(graph)
    body = model.graph
    _rename(body, body.output[0].name, _TASKS)
    features = body.input[0]
    nodes, weights = _click() if head is None else _head(head, features.name)
    body.node.extend([*nodes, helper.make_node("Concat", [_TASKS, "slate"], [_OUTPUT], axis=1)])
    body.initializer.extend(
        numpy_helper.from_array(array, _PREFIX + name) for name, array in weights.items()
    )
    rows = features.type.tensor_type.shape.dim[0].dim_param or "rows"
    del body.output[:]
    body.output.append(
        helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, [rows, len(COLUMNS)])
    )
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def read_slate_head(path: Path) -> SlateHead | None:
    """Return the head in a ranker's graph; None where the click orders slates."""
    named = {
        each.name.removeprefix(_PREFIX): torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in onnx.load(path).graph.initializer
        if each.name.startswith(_PREFIX)
    }
    n = len(FEATURES)
    head = SlateHead(np.zeros(n, np.float32), np.ones(n, np.float32))
    state = {name: named[name] for name in head.state_dict() if name in named}
    if not state:
        return None
    head.load_state_dict(state)
    head.eval()
    return head


def _rename(body: onnx.GraphProto, old: str, new: str) -> None:
    """Give the output of a graph another name, wherever it is made or read."""
    for node in body.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _click() -> tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]:
    nodes = [helper.make_node("Gather", [_TASKS, _PREFIX + "click"], ["slate"], axis=1)]
    return nodes, {"click": np.array([0])}


def _head(head: SlateHead, features: str) -> tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]:
    """Return the nodes of `sigmoid(head(features))` and their weights."""
    weights: dict[str, NDArray[Any]] = {
        name: value.detach().numpy().copy() for name, value in head.state_dict().items()
    }
    layers = sorted(name for name in weights if name.endswith(".weight"))
    limits = {"low": np.float32(-INPUT_LIMIT), "high": np.float32(INPUT_LIMIT)}
    weights |= {name: np.array(value) for name, value in limits.items()}
    scaled = [
        _node("Sub", [features, _PREFIX + "mean"], "centred"),
        _node("Mul", [_PREFIX + "centred", _PREFIX + "scale"], "scaled"),
        _node("Clip", [_PREFIX + each for each in ("scaled", "low", "high")], "x"),
    ]
    signal, nodes = "x", scaled
    for number, weight in enumerate(layers):
        inputs = [_PREFIX + each for each in (signal, weight, weight.replace("weight", "bias"))]
        nodes.append(_node("Gemm", inputs, f"sum_{number}", transB=1))
        signal = f"sum_{number}"
        if weight != layers[-1]:
            nodes.append(_node("Relu", [_PREFIX + signal], f"out_{number}"))
            signal = f"out_{number}"
    return [*nodes, helper.make_node("Sigmoid", [_PREFIX + signal], ["slate"])], weights


def _node(kind: str, inputs: list[str], output: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [_PREFIX + output], **attributes)
