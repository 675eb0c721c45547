"""ONNX Runtime, and the only import of it: one thread, no spinning, nothing outside the file.

A recommendation shares its cores with the rest of the loop, so a session computes on the calling
thread and never spins while it waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.external_data_helper import uses_external_data

from freshet.core.errors import BundleError
from freshet.core.telemetry import switch_off


class OnnxModel:
    """One ONNX graph with one output, ready to run; safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        """Load the graph in `path`.

        Raises:
            BundleError: when it is no graph, or points at data outside its own file.
        """
        try:
            raw = path.read_bytes()
            graph = onnx.load_model_from_string(raw).graph
        except Exception as error:  # protobuf's own exception types differ between its releases
            raise BundleError(path.parent, f"{path.name} is no ONNX graph ({error})") from error
        if any(uses_external_data(tensor) for tensor in _tensors(graph)):
            raise BundleError(path.parent, f"{path.name} keeps data outside its own file")
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


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a graph and its subgraphs carry."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for subgraph in (
                *([attribute.g] if attribute.HasField("g") else []),
                *attribute.graphs,
            ):
                yield from _tensors(subgraph)
