"""Golden vectors: questions and answers that travel with a bundle and must come out the same.

They catch what a digest cannot: another runtime, another encoding of content, a graph that was
built for other vectors. All of them go through the public methods of `Bundle`.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.events.schema import EVENT_TYPES, Item
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.manifest import (
    GOLDEN,
    HASHES,
    INDEX,
    ITEM_IDS,
    VECTORS,
    Manifest,
    read_verified,
)
from online_models.features import FEATURES
from online_models.tasks import COLUMNS

_CASES = 16
_MAX_CASES = 1024
_QUESTIONS = ("features", "vectors", "types", "ages_s", "mask")
_OPTIONAL = "recorded_of"
_SEED = 20_130_228


@dataclass(frozen=True, slots=True)
class Golden:
    """Questions to a bundle, one row each, and its answers.

    Attributes:
        recorded_of: (32,) digest of the items that answered; (0,) in bundles from before there was
            one.
    """

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    vectors: NDArray[np.float32]
    types: NDArray[np.int64]
    ages_s: NDArray[np.float32]
    mask: NDArray[np.bool_]
    users: NDArray[np.float32]
    items_json: NDArray[np.uint8]
    embedded: NDArray[np.float32]
    recorded_of: NDArray[np.uint8]


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
        recorded_of=_digest_of_items(bundle.manifest),
    )
    np.savez(folder / GOLDEN, **asdict(golden))


def check_golden(folder: Path, bundle: Bundle) -> None:
    """Ask the bundle its golden questions again.

    Raises:
        BundleError: naming the first model that answers otherwise.
    """
    golden = _read(folder, bundle.manifest)
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
    if golden.probabilities.shape != (shape := (len(golden.features), len(COLUMNS))):
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
    strangers = {item.item_id for item in items} - set(bundle.item_ids)
    if strangers:
        raise BundleError(
            folder,
            f"{len(strangers)} of the {len(items)} items of {GOLDEN} are not in {ITEM_IDS}, "
            f"as {min(strangers)!r}",
        )


def check_recorded_items(folder: Path, bundle: Bundle) -> None:
    """Compare ids, hashes, vectors and index with those that the golden answers were recorded of.

    Raises:
        BundleError: one of them was exchanged afterwards.
    """
    recorded_of = _read(folder, bundle.manifest).recorded_of
    if len(recorded_of) and not np.array_equal(recorded_of, _digest_of_items(bundle.manifest)):
        raise BundleError(
            folder,
            f"{GOLDEN} was recorded with other items: {ITEM_IDS}, {HASHES}, {VECTORS} or {INDEX} "
            "was exchanged afterwards",
        )


def _digest_of_items(manifest: Manifest) -> NDArray[np.uint8]:
    """Return a (32,) digest of the files that say which item has which vector."""
    names = sorted(manifest.files.keys() & {ITEM_IDS, HASHES, VECTORS, INDEX})
    digests = "".join(f"{name} {manifest.files[name].sha256}\n" for name in names)
    return np.frombuffer(hashlib.sha256(digests.encode()).digest(), np.uint8)


def _read(folder: Path, manifest: Manifest) -> Golden:
    content = read_verified(folder, manifest, GOLDEN)
    names = [field.name for field in fields(Golden)]
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in names if name != _OPTIONAL or name in arrays}
    except Exception as error:  # an archive inside which each array has a header of its own
        raise BundleError(folder, f"{GOLDEN} cannot be read ({error})") from error
    golden = Golden(**{_OPTIONAL: np.empty(0, np.uint8)} | found)
    rows = {len(getattr(golden, name)) if getattr(golden, name).ndim else 0 for name in _QUESTIONS}
    if len(rows) != 1 or not 0 < max(rows) <= _MAX_CASES:
        raise BundleError(
            folder, f"{GOLDEN} asks {sorted(rows)} questions, expected 1 to {_MAX_CASES}"
        )
    return golden
