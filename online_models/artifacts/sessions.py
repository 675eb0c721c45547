"""ONNX Runtime, and the only import of it: one thread, no spinning, nothing outside the file.

A recommendation shares its cores with the rest of the loop, so a session computes on the calling
thread and never spins while it waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.external_data_helper import uses_external_data

from freshet.core.errors import BundleError
from freshet.core.telemetry import switch_off

Signature = tuple[str, list[int | str | None]]
"""Type of a tensor in the words of the runtime, and its shape; a name or None where it is free."""

_CONTROL_FLOW: Final = frozenset({"If", "Loop", "Scan", "SequenceMap"})


class OnnxModel:
    """One ONNX graph with one output, ready to run; safe to call from several threads."""

    def __init__(self, path: Path, raw: bytes | bytearray | None = None) -> None:
        """Load the graph in `path`.

        Args:
            path: names the graph.
            raw: its content, where it was read; from `path` when None.

        Raises:
            BundleError: when it is no graph, points at data outside its own file, or holds what
                cannot be judged before it runs.
        """
        try:
            raw = bytes(path.read_bytes() if raw is None else raw)
            model = onnx.load_model_from_string(raw)
            fault = next(_faults(model), None)
        except Exception as error:  # protobuf's own exception types differ between its releases
            raise BundleError(path.parent, f"{path.name} is no ONNX graph ({error})") from error
        if fault:
            raise BundleError(path.parent, f"{path.name} {fault}")
        onnxruntime = _load_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                raw, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises a dozen types without a common base
            raise BundleError(path.parent, f"{path.name} does not load ({error})") from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        if len(self._outputs) != 1:
            raise BundleError(path.parent, f"{path.name} has outputs {self._outputs}, expected one")

    @property
    def inputs(self) -> dict[str, Signature]:
        """The type and the shape of each input, by name."""
        return {each.name: (each.type, each.shape) for each in self._session.get_inputs()}

    @property
    def output(self) -> Signature:
        """The type and the shape of the output."""
        only = self._session.get_outputs()[0]
        return only.type, only.shape

    def __call__(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return the output of the graph for named inputs."""
        output: NDArray[np.float32] = self._session.run(self._outputs, inputs)[0]
        return output


def _load_runtime() -> Any:
    """Return the library; it reads the variable, and writes files, when it is first imported."""
    switch_off(os.environ)
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for a release that does not know the variable
    return onnxruntime


def _faults(model: onnx.ModelProto) -> Iterator[str]:
    """Yield why a model must not run, each in words."""
    for body in (model.graph, *model.functions):
        for node in _nodes(body):
            if node.op_type in _CONTROL_FLOW:
                yield f"holds a {node.op_type}: what it costs depends on what it is asked"
    if any(map(uses_external_data, _tensors(model))):
        yield "keeps data outside its own file"


def _nodes(body: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph or a function, and of the graphs inside of them."""
    for node in body.node:
        yield node
        for graph in _graphs(node):
            yield from _nodes(graph)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a model carries, wherever it is."""
    yield from _initializers(model.graph)
    for body in (model.graph, *model.functions):
        for node in _nodes(body):
            for graph in _graphs(node):
                yield from _initializers(graph)
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                for each in (*sparse, *attribute.sparse_tensors):
                    yield from (each.values, each.indices)


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
