"""Whether the models of a bundle answer what serving asks, for one row and for many.

Golden answers say that a model is the one that was published. They do not say that it is fit to
serve: a graph may be of a fixed batch, or answer NaN to everything, and its golden answers with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.events.schema import EVENT_TYPES, Item
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.bundle import Bundle, Model
from online_models.artifacts.sessions import OnnxModel
from online_models.content import CONTENT_DIM, encode_content
from online_models.features import FEATURE_LIMIT, FEATURES
from online_models.tasks import COLUMNS

Floats = NDArray[np.float32]

CANDIDATES: Final = 500
_RANKER_ROWS: Final = (1, 2, 3, 16, 17, CANDIDATES, CANDIDATES + 1)
_ENCODER_ROWS: Final = (1, 2, 17)
_TOWER_ROWS: Final = (1, 2, 17, 512)
_SEED: Final = 20_130_623
_LEAST_SPREAD: Final = 1e-6
_LEAST_NORM: Final = 1e-6
_ROUNDING: Final = 1e-5

_FLOAT, _INT, _BOOL = "tensor(float)", "tensor(int64)", "tensor(bool)"
_INPUTS: Final[dict[str, dict[str, tuple[str, tuple[int, ...]]]]] = {
    "ranker": {"features": (_FLOAT, (len(FEATURES),))},
    "encoder": {
        "vectors": (_FLOAT, (HISTORY_LENGTH, EMBEDDING_DIM)),
        "types": (_INT, (HISTORY_LENGTH,)),
        "ages_s": (_FLOAT, (HISTORY_LENGTH,)),
        "mask": (_BOOL, (HISTORY_LENGTH,)),
    },
    "item tower": {"content": (_FLOAT, (CONTENT_DIM,))},
}


def check_models(folder: Path, bundle: Bundle) -> None:
    """Look at what each model takes, and ask it.

    Raises:
        BundleError: naming the model and what it does.
    """
    models = {
        "ranker": bundle.ranker,
        "encoder": bundle.encoder,
        "item tower": bundle.item_tower,
    }
    for name, model in models.items():
        if isinstance(model, OnnxModel):
            _check_signature(folder, name, model)
    _check_ranker(folder, bundle.ranker)
    _check_encoder(folder, bundle.encoder)
    _check_tower(folder, bundle.item_tower)


def histories(rows: int) -> dict[str, NDArray[Any]]:
    """Return the inputs of an encoder for made-up histories, from empty to full."""
    rng = np.random.default_rng(_SEED)
    shape = (rows, HISTORY_LENGTH)
    vectors = rng.normal(0, 1, (*shape, EMBEDDING_DIM)).astype(np.float32)
    return {
        "vectors": vectors / np.linalg.norm(vectors, axis=2, keepdims=True),
        "types": rng.integers(0, len(EVENT_TYPES), shape),
        "ages_s": np.cumsum(rng.exponential(600, shape), axis=1).astype(np.float32),
        "mask": np.arange(HISTORY_LENGTH) < rng.integers(0, HISTORY_LENGTH + 1, (rows, 1)),
    }


def candidates(rows: int) -> Floats:
    """Return (rows, F) made-up features: ordinary ones, and the limits."""
    rng = np.random.default_rng(_SEED)
    features = rng.normal(0, 2, (rows, len(FEATURES))).astype(np.float32)
    for row, value in enumerate((0.0, FEATURE_LIMIT, -FEATURE_LIMIT)):
        features[CANDIDATES // 2 + row :: CANDIDATES] = value
    return np.clip(features, -FEATURE_LIMIT, FEATURE_LIMIT)


def contents(rows: int) -> Floats:
    """Return the (rows, CONTENT_DIM) content of made-up items; the last of many has none."""
    items = [Item(item_id="-", title=f"probe {row}", categories=["probe"]) for row in range(rows)]
    if rows > 1:
        items[-1] = Item(item_id="-")
    return encode_content(items)


def _check_signature(folder: Path, name: str, model: OnnxModel) -> None:
    expected = _INPUTS[name]
    if model.inputs.keys() != expected.keys():
        raise BundleError(
            folder, f"its {name} takes {sorted(model.inputs)}, expected {sorted(expected)}"
        )
    for key, (kind, shape) in expected.items():
        found_kind, found_shape = model.inputs[key]
        if found_kind != kind:
            raise BundleError(folder, f"its {name} takes {key} as {found_kind}, expected {kind}")
        fits = len(found_shape) == 1 + len(shape) and all(
            not isinstance(found, int) or found == size
            for found, size in zip(found_shape[1:], shape, strict=True)
        )
        if not fits:
            raise BundleError(
                folder, f"its {name} takes {key} of shape {found_shape}, expected [any, *{shape}]"
            )
        if isinstance(found_shape[0], int):
            raise BundleError(
                folder, f"its {name} takes {found_shape[0]} rows of {key} at once, expected any"
            )
    if model.output[0] != _FLOAT:
        raise BundleError(folder, f"its {name} answers {model.output[0]}, expected {_FLOAT}")


def _check_ranker(folder: Path, ranker: Model) -> None:
    for rows in _RANKER_ROWS:
        features = candidates(rows)
        found = _ask(folder, "ranker", ranker, features=features)
        _check_shape(folder, "ranker", found, (rows, len(COLUMNS)))
        if not np.isfinite(found).all():
            raise BundleError(folder, "its ranker answers what is no finite number")
        if found.min() < -_ROUNDING or found.max() > 1 + _ROUNDING:
            raise BundleError(
                folder,
                f"its ranker answers {found.min():.4g} to {found.max():.4g}, "
                "expected probabilities, 0 to 1",
            )
        if rows >= CANDIDATES and np.ptp(found[:, 0]) < _LEAST_SPREAD:
            raise BundleError(
                folder,
                f"its ranker answers {found[0, 0]:.4g} for every candidate, expected an order",
            )


def _check_encoder(folder: Path, encoder: Model) -> None:
    for rows in _ENCODER_ROWS:
        asked = histories(rows)
        found = _ask(folder, "encoder", encoder, **asked)
        _check_shape(folder, "encoder", found, (rows, EMBEDDING_DIM))
        _check_vectors(folder, "encoder", found[asked["mask"].any(axis=1)])


def _check_tower(folder: Path, tower: Model) -> None:
    for rows in _TOWER_ROWS:
        content = contents(rows)
        found = _ask(folder, "item tower", tower, content=content)
        _check_shape(folder, "item tower", found, (rows, EMBEDDING_DIM))
        _check_vectors(folder, "item tower", found[content.any(axis=1)])


def _ask(folder: Path, name: str, model: Model, **inputs: NDArray[Any]) -> Floats:
    try:
        return model(**inputs)
    except Exception as error:  # the runtime raises a dozen types without a common base
        raise BundleError(folder, f"its {name} cannot answer ({error})") from error


def _check_shape(folder: Path, name: str, found: Any, expected: tuple[int, ...]) -> None:
    if not isinstance(found, np.ndarray) or found.shape != expected or found.dtype != np.float32:
        shape = getattr(found, "shape", type(found).__name__)
        kind = getattr(found, "dtype", "")
        raise BundleError(folder, f"its {name} answers {shape} {kind}, not {expected} float32")


def _check_vectors(folder: Path, name: str, vectors: Floats) -> None:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(norms).all():
        raise BundleError(folder, f"its {name} answers what is no finite vector")
    if len(norms) and norms.max() < _LEAST_NORM:
        raise BundleError(folder, f"its {name} answers zero to everything")
