"""Golden vectors: questions and answers that travel with a bundle and must come out the same.

They catch what a digest cannot: another runtime, another encoding of content, a graph that was
built for other vectors. All of them go through the public methods of `Bundle`.
"""

from __future__ import annotations

import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.events.schema import EVENT_TYPES, Item
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.item_index import ExactIndex
from online_models.artifacts.manifest import GOLDEN
from online_models.features import FEATURES
from online_models.tasks import TASKS

_CASES = 16
_NEIGHBOURS = 10
_SESSION_ITEMS = 4
_ALIKE = 40
_LEAST_RECALL = 0.9
_SEED = 20_130_228


@dataclass(frozen=True, slots=True)
class Golden:
    """Questions to a bundle, one row each, and its answers."""

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    vectors: NDArray[np.float32]
    types: NDArray[np.int64]
    ages_s: NDArray[np.float32]
    mask: NDArray[np.bool_]
    users: NDArray[np.float32]
    items_json: NDArray[np.uint8]
    embedded: NDArray[np.float32]


def record_golden(folder: Path, bundle: Bundle, items: list[Item]) -> None:
    """Ask the bundle a fixed set of questions and write them with its answers to `folder`.

    Args:
        folder: where the golden file goes.
        bundle: the bundle that answers.
        items: catalogue entries to embed; the first few are kept.
    """
    rng = np.random.default_rng(_SEED)
    features = rng.normal(0, 2, (_CASES, len(FEATURES))).astype(np.float32)
    shape = (_CASES, HISTORY_LENGTH)
    vectors = rng.normal(0, 1, (*shape, EMBEDDING_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    types = rng.integers(0, len(EVENT_TYPES), shape)
    ages_s = np.cumsum(rng.exponential(600, shape), axis=1).astype(np.float32)
    mask = np.arange(HISTORY_LENGTH) < rng.integers(0, HISTORY_LENGTH + 1, (_CASES, 1))
    mask[0] = False  # the user without a history is the case that breaks attention
    kept = items[:_CASES]
    golden = Golden(
        features=features,
        probabilities=bundle.probabilities(features),
        vectors=vectors,
        types=types,
        ages_s=ages_s,
        mask=mask,
        users=bundle.encode(vectors, types, ages_s, mask),
        items_json=np.frombuffer(msgspec.json.encode(kept), np.uint8),
        embedded=bundle.embed_items(kept),
    )
    np.savez(folder / GOLDEN, **asdict(golden))


def check_golden(folder: Path, bundle: Bundle) -> None:
    """Ask the bundle its golden questions again.

    Raises:
        BundleError: naming the first model that answers otherwise.
    """
    golden = _read(folder)
    try:
        items = msgspec.json.decode(golden.items_json.tobytes(), type=list[Item])
        answers = {
            "ranker": (bundle.probabilities(golden.features), golden.probabilities),
            "encoder": (
                bundle.encode(golden.vectors, golden.types, golden.ages_s, golden.mask),
                golden.users,
            ),
            "item tower": (bundle.embed_items(items), golden.embedded),
        }
    except Exception as error:  # whatever the runtime raises for other names, types or shapes
        raise BundleError(folder, f"it cannot answer its golden questions ({error})") from error
    if golden.probabilities.shape != (shape := (len(golden.features), len(TASKS))):
        raise BundleError(folder, f"its ranker answers {golden.probabilities.shape}, not {shape}")
    tolerance = bundle.manifest.golden_tolerance
    for model, (found, expected) in answers.items():
        if found.shape != expected.shape:
            raise BundleError(folder, f"its {model} answers {found.shape}, not {expected.shape}")
        difference = float(np.abs(found - expected).max(initial=0))
        if not difference <= tolerance:
            raise BundleError(
                folder,
                f"its {model} is {difference:.2g} off its golden vectors, "
                f"expected at most {tolerance:.2g}",
            )
    _check_index(folder, bundle)


def _check_index(folder: Path, bundle: Bundle) -> None:
    """Compare the index with the exact search, for queries like a session: alike items' means.

    A mean of items taken anywhere lies between all clusters, where no session is and where a
    graph finds its way by luck.
    """
    vectors = bundle.item_vectors
    if not len(vectors):
        return
    norms = np.linalg.norm(vectors, axis=1)
    if not np.allclose(norms, 1, atol=1e-3):  # NaN fails too
        raise BundleError(folder, "its item vectors are not of unit length")
    rng = np.random.default_rng(_SEED)
    exact = ExactIndex(vectors)
    recalls = []
    for first in rng.integers(0, len(vectors), _CASES).tolist():
        alike, _ = exact.nearest(vectors[first], _ALIKE)
        query = vectors[rng.choice(alike, _SESSION_ITEMS)].mean(axis=0)
        expected, _ = exact.nearest(query, _NEIGHBOURS)
        found, scores = bundle.nearest(query, _NEIGHBOURS)
        if np.any(np.diff(scores) > 0):
            raise BundleError(folder, "its index does not answer the nearest items first")
        recalls.append(np.isin(expected, found).mean())
    recall = float(np.mean(recalls))
    if recall < _LEAST_RECALL:
        raise BundleError(
            folder,
            f"its index finds {recall:.0%} of the nearest items, expected {_LEAST_RECALL:.0%}",
        )


def _read(folder: Path) -> Golden:
    try:
        with np.load(folder / GOLDEN, allow_pickle=False) as arrays:
            return Golden(**{field.name: arrays[field.name] for field in fields(Golden)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(folder, f"{GOLDEN} cannot be read ({error})") from error
