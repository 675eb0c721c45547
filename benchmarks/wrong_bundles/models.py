"""Graphs that are not fit to serve; their golden answers are their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.wrong_bundles.case import Case, record_again, reseal
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.manifest import ENCODER, GOLDEN, ITEM_TOWER, RANKER
from online_models.artifacts.tiny import onnx_graph
from online_models.content import CONTENT_DIM
from online_models.features import FEATURES
from online_models.tasks import COLUMNS

F, T = len(FEATURES), len(COLUMNS)
node = helper.make_node

_FREE = {"features": (TensorProto.FLOAT, ["n", F])}
_SQUARE = 2000
_ROUNDS = 24
_GIANT = 5 << 30  # numbers, 20 GB


def cases() -> Iterator[Case]:
    """Yield rankers, encoders and item towers."""
    for value in (0.0, 0.5, 1.0):
        yield Case(
            f"ranker {value} for all", _ranker(*_constant(value)), "for (every|all) candidate"
        )
    yield Case("ranker NaN", _ranker(*_constant(np.nan)), "no finite number")
    yield Case("ranker infinite", _ranker(*_constant(np.inf)), "no finite number")
    for factor in (-7.0, 1e30):
        yield Case(f"ranker times {factor:g}", _ranker(*_scaled(factor)), "expected probabilities")
    yield from _rankers_of_another_form()
    yield from _rankers_of_another_cost()
    yield Case("ranker is the encoder", _take(ENCODER, RANKER), "cannot answer")
    yield Case("encoder is the ranker", _take(RANKER, ENCODER), "cannot answer")
    yield Case("ranker is no graph", _write(RANKER, b"no graph"), "no ONNX graph|does not load")
    yield Case("ranker is empty", _write(RANKER, b""), "no ONNX graph|does not load")
    yield Case("golden answers are no archive", _write(GOLDEN, b"PK\x03\x04"), "cannot be read")
    yield Case("golden answers to nothing", _golden(0), "asks .* questions")
    for model, width in ((ENCODER, "encoder"), (ITEM_TOWER, "item tower")):
        for value, words in ((np.nan, "no finite vector"), (0.0, "answers zero to everything")):
            yield Case(f"{width} {value:g} for all", _vectors_of(model, value), words)
    yield Case("item tower of 16 rows at once", _tower_of(16), "takes 16 rows|cannot answer")
    yield Case("item tower of one row at once", _tower_of(1), "cannot answer")
    yield Case("item tower of 16 rows, hidden", _tower_of(16, hidden=True), "cannot answer")
    yield Case("item tower of 32 dimensions", _tower_of_width(32), "item tower")


def _rankers_of_another_form() -> Iterator[Case]:
    score = [node("MatMul", ["features", "w"], ["z"]), node("Sigmoid", ["z"], ["p"])]
    w = {"w": np.random.default_rng(0).normal(0, 0.1, (F, T)).astype(np.float32)}
    for name, inputs, words in (
        ("of 16 rows at once", {"features": (TensorProto.FLOAT, [16, F])}, "takes 16 rows"),
        ("of one row at once", {"features": (TensorProto.FLOAT, [1, F])}, "cannot answer"),
        ("with an input more", _FREE | {"more": (TensorProto.FLOAT, [1])}, "cannot answer"),
    ):
        yield Case(f"ranker {name}", _ranker(score, w, inputs), words)
    doubled = [node("Cast", ["features"], ["f"], to=TensorProto.FLOAT)]
    doubled += [node("MatMul", ["f", "w"], ["z"]), node("Sigmoid", ["z"], ["p"])]
    double = {"features": (TensorProto.DOUBLE, ["n", F])}
    yield Case("ranker of doubles", _ranker(doubled, w, double), "cannot answer")
    renamed = [node("MatMul", ["x", "w"], ["z"]), node("Sigmoid", ["z"], ["p"])]
    other = {"x": (TensorProto.FLOAT, ["n", F])}
    yield Case("ranker with another input", _ranker(renamed, w, other), "cannot answer")
    fixed = [node("Reshape", ["features", "to"], ["f"]), *renamed]
    fixed[1] = node("MatMul", ["f", "w"], ["z"])
    hidden = w | {"to": np.array([16, F])}
    yield Case("ranker of 16 rows, hidden", _ranker(fixed, hidden), "cannot answer")
    wide = {"w": np.random.default_rng(0).normal(0, 0.1, (F, T + 1)).astype(np.float32)}
    yield Case("ranker of a task more", _ranker(score, wide), "its ranker answers")
    flat = [*score[:1], node("Sigmoid", ["z"], ["s"]), node("Reshape", ["s", "to"], ["p"])]
    yield Case("ranker flat", _ranker(flat, w | {"to": np.array([-1])}), "its ranker answers")
    foreign = [node("Anything", ["features"], ["p"], domain="elsewhere")]
    yield Case("ranker of foreign operations", _ranker(foreign, {}), "does not load")
    yield Case("ranker in a loop", _ranker(*_loop()), "holds a Loop")
    yield Case("ranker with data elsewhere", _external, "outside its own file")


def _rankers_of_another_cost() -> Iterator[Case]:
    yield Case("ranker of 250 ms", _ranker(*_slow()), "ms of processor time", in_child=True)
    yield Case(
        "ranker of 20 GB", _ranker(*_giant(), record=False), "memory|does not load", in_child=True
    )


Graph = tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]


def _constant(value: float) -> Graph:
    nodes = [node("MatMul", ["features", "w"], ["z"]), node("Add", ["z", "c"], ["p"])]
    weights = np.zeros((F, T), np.float32), np.full(T, value, np.float32)
    return nodes, dict(zip(("w", "c"), weights, strict=True))


def _scaled(factor: float) -> Graph:
    nodes = [
        node("MatMul", ["features", "w"], ["z"]),
        node("Sigmoid", ["z"], ["s"]),
        node("Mul", ["s", "factor"], ["p"]),
    ]
    weights = np.random.default_rng(0).normal(0, 0.1, (F, T)).astype(np.float32)
    return nodes, {"w": weights, "factor": np.array(factor, np.float32)}


def _slow() -> Graph:
    """Return a small file that multiplies large matrices."""
    nodes, weights = _scaled(1.0)
    nodes[-1] = node("Add", ["s", "nothing"], ["p"])
    nodes += [node("ConstantOfShape", ["square"], ["m"], value=_small()), *_multiplied()]
    nodes += [
        node("ReduceMean", [f"x{_ROUNDS}"], ["mean"], axes=[1], keepdims=1),
        node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    order = [*nodes[:2], *nodes[3:], nodes[2]]
    sizes = {"square": np.array([_SQUARE, _SQUARE]), "wide": np.array([F, _SQUARE])}
    del weights["factor"]
    return order, weights | sizes | {"zero": np.array(0, np.float32)}


def _multiplied() -> list[onnx.NodeProto]:
    first = node("ConstantOfShape", ["wide"], ["m0"], value=_small())
    widened = node("MatMul", ["features", "m0"], ["x0"])
    rounds = [node("MatMul", [f"x{n}", "m"], [f"x{n + 1}"]) for n in range(_ROUNDS)]
    return [first, widened, *rounds]


def _small() -> onnx.TensorProto:
    return helper.make_tensor("value", TensorProto.FLOAT, [1], [1 / _SQUARE])


def _giant() -> Graph:
    """Return a small file that fills 20 GB."""
    nodes, weights = _scaled(1.0)
    nodes[-1] = node("Mul", ["s", "one"], ["p"])
    filled = [
        node("ConstantOfShape", ["giant"], ["filled"], value=_small()),
        node("ReduceMax", ["filled"], ["one"], keepdims=0),
    ]
    del weights["factor"]
    return [*filled, *nodes], weights | {"giant": np.array([_GIANT])}


def _loop() -> Graph:
    body = helper.make_graph(
        [node("Identity", ["going"], ["goes_on"]), node("Identity", ["held"], ["holds"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("holds", TensorProto.FLOAT, None),
        ],
    )
    nodes, weights = _scaled(1.0)
    nodes[-1] = node("Loop", ["turns", "yes", "s"], ["p"], body=body)
    del weights["factor"]
    return nodes, weights | {"turns": np.array(3), "yes": np.array(True)}


def _ranker(
    nodes: list[onnx.NodeProto],
    weights: dict[str, NDArray[Any]],
    inputs: dict[str, tuple[int, list[Any]]] | None = None,
    *,
    record: bool = True,
) -> Callable[[Path, Path], None]:
    """Return a damage that puts a ranker in place; it answers the golden questions if it can."""

    def damage(folder: Path, _: Path) -> None:
        graph = onnx_graph(
            nodes, inputs=inputs or _FREE, output=("p", None), weights=weights, checked=False
        )
        (folder / RANKER).write_bytes(graph)
        _record(folder, as_it_is=record)

    return damage


def _record(folder: Path, *, as_it_is: bool = True) -> None:
    """Let the models give the golden answers; where they cannot, the old ones stay."""
    try:
        if as_it_is:
            record_again(folder)
    except Exception:  # whatever such a graph makes the runtime raise
        pass
    reseal(folder)


def _external(folder: Path, _: Path) -> None:
    model = onnx.load(folder / RANKER)
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="elsewhere.bin", size_threshold=0
    )
    onnx.save(model, folder / RANKER)
    reseal(folder)


def _take(source: str, target: str) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        (folder / target).write_bytes((folder / source).read_bytes())
        reseal(folder)

    return damage


def _write(name: str, content: bytes) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        (folder / name).write_bytes(content)
        reseal(folder)

    return damage


def _golden(rows: int) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        with np.load(folder / GOLDEN) as arrays:
            kept = {name: arrays[name][:rows] for name in arrays if name != "items_json"}
        np.savez(folder / GOLDEN, items_json=np.frombuffer(b"[]", np.uint8), **kept)
        reseal(folder)

    return damage


def _vectors_of(name: str, value: float) -> Callable[[Path, Path], None]:
    """Return a damage that multiplies what a model answers."""

    def damage(folder: Path, _: Path) -> None:
        model = onnx.load(folder / name)
        output = model.graph.output[0].name
        for each in model.graph.node:
            for place, result in enumerate(each.output):
                if result == output:
                    each.output[place] = "whole"
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(value, np.float32), "factor")
        )
        model.graph.node.append(node("Mul", ["whole", "factor"], [output]))
        onnx.save(model, folder / name)
        record_again(folder)

    return damage


def _tower_of(rows: int, *, hidden: bool = False) -> Callable[[Path, Path], None]:
    nodes = [
        node("Reshape", ["content", "to"], ["shaped"]),
        node("MatMul", ["shaped", "w"], ["vectors"]),
    ]
    weights = {"w": np.ones((CONTENT_DIM, EMBEDDING_DIM), np.float32)}
    weights |= {"to": np.array([rows, CONTENT_DIM])}
    return _tower(nodes, weights, "n" if hidden else rows)


def _tower_of_width(width: int) -> Callable[[Path, Path], None]:
    weights = {"w": np.ones((CONTENT_DIM, width), np.float32)}
    return _tower([node("MatMul", ["content", "w"], ["vectors"])], weights, "n")


def _tower(
    nodes: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], rows: int | str
) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        graph = onnx_graph(
            nodes,
            inputs={"content": (TensorProto.FLOAT, [rows, CONTENT_DIM])},
            output=("vectors", None),
            weights=weights,
            checked=False,
        )
        (folder / ITEM_TOWER).write_bytes(graph)
        _record(folder)

    return damage
