"""A small real bundle with random weights, for tests and benchmarks; made without torch.

The graphs are ordinary ONNX and keep every promise of `Bundle`: unit vectors, probabilities, a
vector for a new item, an answer for a user without a history.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from freshet.core.events.schema import EVENT_TYPES, Item
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.check import load_bundle
from online_models.artifacts.item_index import EXACT_BELOW
from online_models.artifacts.manifest import Manifest
from online_models.artifacts.registry import Registry
from online_models.artifacts.write import write_bundle
from online_models.content import CONTENT_DIM, encode_content
from online_models.features import FEATURES
from online_models.tasks import COLUMNS, TASKS

_CREATED_TS_MS = 1_763_800_000_000
_WORDS = (
    "river",
    "amber",
    "north",
    "paper",
    "velvet",
    "quiet",
    "copper",
    "winter",
    "field",
    "moon",
)
_CATEGORIES = ("garden", "kitchen", "travel", "music", "sport")
_OPSET = 17
_IR_VERSION = 9


def tiny_items(count: int) -> list[Item]:
    """Return catalogue entries `item-0`, `item-1` and so on, with titles and a category.

    >>> tiny_items(2)[1].title
    'amber river 1'
    """
    return [
        Item(
            item_id=f"item-{row}",
            title=f"{_WORDS[row % 10]} {_WORDS[row // 10 % 10]} {row}",
            categories=[_CATEGORIES[row % 5]],
        )
        for row in range(count)
    ]


def write_tiny_bundle(
    folder: Path,
    items: Sequence[Item],
    *,
    seed: int = 0,
    created_ts_ms: int = _CREATED_TS_MS,
    exact_below: int = EXACT_BELOW,
) -> Manifest:
    """Write a bundle of these items into an empty folder; another seed gives another version."""
    rng = np.random.default_rng(seed)
    tower = _draw(rng, CONTENT_DIM, EMBEDDING_DIM)
    vectors = np.concatenate(
        [
            encode_content(items[start : start + 4096]) @ tower
            for start in range(0, len(items), 4096)
        ]
    )
    vectors += 0.1 * _draw(rng, *vectors.shape)  # no two items share a vector
    return write_bundle(
        folder,
        items=items,
        vectors=vectors,
        ranker=_ranker(rng),
        encoder=_encoder(rng),
        item_tower=_item_tower(tower),
        metrics={"note": "random weights"},
        created_ts_ms=created_ts_ms,
        exact_below=exact_below,
    )


def publish_tiny_bundle(
    models_dir: Path, items: Sequence[Item], *, seed: int = 0, exact_below: int = EXACT_BELOW
) -> str:
    """Publish a bundle of these items, put it in use and return its version."""
    registry = Registry(models_dir, checker=load_bundle)
    with registry.staging() as folder:
        write_tiny_bundle(folder, items, seed=seed, exact_below=exact_below)
        return registry.publish(folder)


def _item_tower(weights: NDArray[np.float32]) -> bytes:
    nodes = [
        helper.make_node("MatMul", ["content", "weights"], ["projected"]),
        *_normalise("projected", "vectors"),
    ]
    return onnx_graph(
        nodes,
        inputs={"content": (TensorProto.FLOAT, ["n", CONTENT_DIM])},
        output=("vectors", ["n", EMBEDDING_DIM]),
        weights={"weights": weights},
    )


def _encoder(rng: np.random.Generator) -> bytes:
    """Return a mean of the item vectors, weighted by type and by exp(-age / hour)."""
    nodes = [
        helper.make_node("Cast", ["mask"], ["present"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["type_weights", "types"], ["by_type"]),
        helper.make_node("Div", ["ages_s", "minus_hour_s"], ["exponent"]),
        helper.make_node("Exp", ["exponent"], ["by_age"]),
        helper.make_node("Mul", ["by_type", "by_age"], ["decayed"]),
        helper.make_node("Mul", ["decayed", "present"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "last_axis"], ["weight"]),
        helper.make_node("Mul", ["vectors", "weight"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "history_axis"], ["summed"], keepdims=0),
        helper.make_node("Add", ["summed", "cold"], ["shifted"]),
        *_normalise("shifted", "users"),
    ]
    row = ["b", HISTORY_LENGTH]
    return onnx_graph(
        nodes,
        inputs={
            "vectors": (TensorProto.FLOAT, [*row, EMBEDDING_DIM]),
            "types": (TensorProto.INT64, row),
            "ages_s": (TensorProto.FLOAT, row),
            "mask": (TensorProto.BOOL, row),
        },
        output=("users", ["b", EMBEDDING_DIM]),
        weights={
            "type_weights": np.linspace(0.2, 1, len(EVENT_TYPES), dtype=np.float32),
            "minus_hour_s": np.array(-3600, np.float32),
            "last_axis": np.array([2]),
            "history_axis": np.array([1]),
            "cold": 0.01 * _draw(rng, EMBEDDING_DIM),
        },
    )


def _ranker(rng: np.random.Generator) -> bytes:
    widths = (len(FEATURES), 128, 64, len(TASKS))
    nodes = []
    weights: dict[str, NDArray[Any]] = {
        "first": np.array([0]),
        "others": np.arange(1, len(TASKS)),
        "last": np.array([len(TASKS) - 1]),
    }
    signal = "features"
    for layer, (width_in, width_out) in enumerate(pairwise(widths)):
        weights[f"weights_{layer}"] = _draw(rng, width_in, width_out) / width_in**0.5
        last = layer == len(widths) - 2
        nodes += [
            helper.make_node("MatMul", [signal, f"weights_{layer}"], [f"sum_{layer}"]),
            helper.make_node("Sigmoid" if last else "Relu", [f"sum_{layer}"], [f"out_{layer}"]),
        ]
        signal = f"out_{layer}"
    # What follows a click is no more likely than the click; a slate has another order than both.
    nodes += [
        helper.make_node("Gather", [signal, "first"], ["click"], axis=1),
        helper.make_node("Gather", [signal, "others"], ["given_click"], axis=1),
        helper.make_node("Mul", ["click", "given_click"], ["following"]),
        helper.make_node("Gather", [signal, "last"], ["in_slate"], axis=1),
        helper.make_node("Concat", ["click", "following", "in_slate"], ["probabilities"], axis=1),
    ]
    return onnx_graph(
        nodes,
        inputs={"features": (TensorProto.FLOAT, ["n", len(FEATURES)])},
        output=("probabilities", ["n", len(COLUMNS)]),
        weights=weights,
    )


def _normalise(source: str, target: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceL2", [source], [f"{source}_norm"], axes=[1], keepdims=1),
        helper.make_node("Div", [source, f"{source}_norm"], [target]),
    ]


def onnx_graph(
    nodes: list[onnx.NodeProto],
    *,
    inputs: dict[str, tuple[int, list[Any]]],
    output: tuple[str, list[Any] | None],
    weights: dict[str, NDArray[Any]],
    checked: bool = True,
) -> bytes:
    """Return an ONNX graph with one output.

    Args:
        nodes: in the order of their computation.
        inputs: element type and shape by name.
        output: its name and shape; float32.
        weights: arrays that nodes name.
        checked: whether it must be one that ONNX allows.
    """
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    if checked:
        onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _draw(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return rng.normal(0, 1, shape).astype(np.float32)
