"""Networks to ONNX, each compared with the original before anyone relies on it."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from freshet.core.errors import BundleError
from freshet.core.events.schema import EVENT_TYPES
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.sessions import OnnxModel
from online_models.content import CONTENT_DIM
from online_models.features import FEATURES
from online_models.training.slate_graph import with_slate_column
from online_models.training.slate_head import RankerColumns, SlateHead

PARITY_ROWS: Final = 256
PARITY_TOLERANCE: Final = 1e-4
_SEED: Final = 11


def export_item_tower(network: nn.Module) -> bytes:
    """Return ONNX of `content` (n, CONTENT_DIM) to (n, EMBEDDING_DIM)."""
    content = torch.rand(PARITY_ROWS, CONTENT_DIM, generator=_generator())
    content = content * (content > 0.99)  # as sparse as real bags
    return _export(network, "item_tower", {"content": content})


def export_encoder(network: nn.Module) -> bytes:
    """Return ONNX of `vectors`, `types`, `ages_s`, `mask` to (b, EMBEDDING_DIM)."""
    generator = _generator()
    shape = (PARITY_ROWS, HISTORY_LENGTH)
    vectors = nn.functional.normalize(
        torch.randn(*shape, EMBEDDING_DIM, generator=generator), dim=2
    )
    used = torch.randint(0, HISTORY_LENGTH + 1, (PARITY_ROWS, 1), generator=generator)
    ages_s = (torch.rand(*shape, generator=generator) * 5_000).cumsum(1)
    inputs = {
        "vectors": vectors,
        "types": torch.randint(0, len(EVENT_TYPES), shape, generator=generator),
        "ages_s": ages_s,
        "mask": torch.arange(HISTORY_LENGTH) < used,
    }
    return _export(network, "encoder", inputs)


def export_ranker(network: nn.Module, head: SlateHead | None = None) -> bytes:
    """Return ONNX of `features` (n, F) to (n, C), in the order of `COLUMNS`.

    Args:
        network: (n, F) to (n, T) probabilities of the tasks.
        head: orders the items of a slate; None where the click does.

    Raises:
        BundleError: when the graph computes something else than they do.
    """
    return add_slate_column(_export(network, "ranker", {"features": _features()}), network, head)


def add_slate_column(graph: bytes, ranker: nn.Module, head: SlateHead | None) -> bytes:
    """Return the graph of a ranker with the column of a slate head, compared with both.

    Args:
        graph: ONNX of `features` (n, F) to (n, T).
        ranker: what the graph computes.
        head: orders the items of a slate; None where the click does.

    Raises:
        BundleError: when the graph computes something else than they do.
    """
    graph = with_slate_column(graph, head)
    inputs = {"features": _features()}
    with torch.no_grad():
        expected = RankerColumns(ranker, head).eval()(**inputs).numpy()
    _compare(graph, "ranker", inputs, expected)
    return graph


def _export(network: nn.Module, name: str, inputs: dict[str, Tensor]) -> bytes:
    """Return the graph of a network.

    Raises:
        BundleError: when the graph computes something else than the network.
    """
    network.eval()
    rows = torch.export.Dim("rows", min=1, max=1_000_000)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=["output"],
            dynamic_shapes={key: {0: rows} for key in inputs},
            external_data=False,
            opset_version=18,
            dynamo=True,
            verbose=False,
        )
        expected = network(**inputs).numpy()
    assert program is not None
    buffer = io.BytesIO()
    program.save(buffer, external_data=False)
    graph = buffer.getvalue()
    _compare(graph, name, inputs, expected)
    return graph


def _compare(
    graph: bytes, name: str, inputs: dict[str, Tensor], expected: NDArray[np.float32]
) -> None:
    """Compare the answers of a graph with those of what it was made of.

    Raises:
        BundleError: when they differ.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        path.write_bytes(graph)
        model = OnnxModel(path)
        for part in (slice(None), slice(1)):  # a batch of one is what serving sends
            found = model(**{key: value[part].numpy() for key, value in inputs.items()})
            difference = float(np.abs(found - expected[part]).max())
            if not difference <= PARITY_TOLERANCE:
                raise BundleError(
                    name,
                    f"the exported graph is {difference:.2g} off the network, "
                    f"expected at most {PARITY_TOLERANCE:g}",
                )


def _features() -> Tensor:
    return torch.randn(PARITY_ROWS, len(FEATURES), generator=_generator()) * 2


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(_SEED)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter tells its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
