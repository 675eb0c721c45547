"""A bundle as loaded: the models and vectors that answer a request, all of one version.

Law: a bundle never changes. Its scores and vectors are finite whatever it is asked, and it gives a
vector to an item that was created after it was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.events.schema import Item
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.files import require_folder
from online_models.artifacts.item_index import ExactIndex, GraphIndex, ItemIndex
from online_models.artifacts.manifest import (
    ENCODER,
    GOLDEN,
    INDEX,
    ITEM_IDS,
    ITEM_TOWER,
    RANKER,
    Manifest,
    read_manifest,
    read_verified,
    verify_files,
    verify_sizes,
)
from online_models.artifacts.sessions import OnnxModel
from online_models.artifacts.vectors import ItemVectors
from online_models.content import encode_content
from online_models.tasks import COLUMNS

_ITEMS_AT_ONCE = 4096

Floats = NDArray[np.float32]


class Model(Protocol):
    """A graph with one output."""

    def __call__(self, **inputs: NDArray[Any]) -> Floats:
        """Return the output for named inputs."""
        ...


@dataclass(frozen=True, slots=True)
class Bundle:
    """One published set of models.

    Attributes:
        manifest: what the bundle is.
        item_ids: (n,) ids, row by row.
        items: the item vectors and the hashes of the ids, in the same rows.
        index: search over the item vectors.
    """

    manifest: Manifest
    item_ids: list[str]
    items: ItemVectors
    index: ItemIndex
    ranker: Model
    encoder: Model
    item_tower: Model

    # --- what it is ---

    @property
    def version(self) -> str:
        """The version; it names the content."""
        return self.manifest.version

    @property
    def tag(self) -> int:
        """The version inside packed records; never 0."""
        return self.items.tag

    @property
    def item_vectors(self) -> Floats:
        """The (n, EMBEDDING_DIM) unit vectors of `item_ids`."""
        return self.items.vectors

    @property
    def feature_schema(self) -> str:
        """The schema that `probabilities` expects of its features."""
        return self.manifest.feature_schema

    @property
    def metrics(self) -> dict[str, Any]:
        """What the trainer measured."""
        return self.manifest.metrics

    # --- what it answers ---

    def embed_items(self, items: Sequence[Item]) -> Floats:
        """Return vectors of items from their content alone, (n, EMBEDDING_DIM), unit norm."""
        chunks = [
            _unit(self.item_tower(content=encode_content(items[start : start + _ITEMS_AT_ONCE])))
            for start in range(0, len(items), _ITEMS_AT_ONCE)
        ]
        return np.concatenate(chunks) if chunks else np.empty((0, EMBEDDING_DIM), np.float32)

    def encode(
        self,
        vectors: Floats,
        types: NDArray[np.int64],
        ages_s: Floats,
        mask: NDArray[np.bool_],
    ) -> Floats:
        """Return a vector for each of b histories.

        Args:
            vectors: (b, HISTORY_LENGTH, EMBEDDING_DIM) item vectors, newest first.
            types: (b, HISTORY_LENGTH) codes of event types.
            ages_s: (b, HISTORY_LENGTH) time since each event, s.
            mask: (b, HISTORY_LENGTH) True where there is an event.

        Returns:
            (b, EMBEDDING_DIM) unit vectors, comparable with item vectors.
        """
        return _unit(self.encoder(vectors=vectors, types=types, ages_s=ages_s, mask=mask))

    def probabilities(self, features: Floats) -> Floats:
        """Return the (n, C) probabilities of the tasks and the slate column, as `COLUMNS` says.

        Args:
            features: (n, F).
        """
        if not len(features):
            return np.empty((0, len(COLUMNS)), np.float32)
        found = np.nan_to_num(self.ranker(features=features), posinf=0, neginf=0)
        return np.clip(found, 0, 1)

    def nearest(self, vector: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
        """Return the at most k rows nearest to a (EMBEDDING_DIM,) vector and their scores."""
        return self.index.nearest(vector, k)


def open_bundle(folder: Path) -> Bundle:
    """Return the bundle in `folder`: sizes, digests and shapes checked, golden vectors not.

    Raises:
        BundleError: when a file is not what the manifest says.
    """
    require_folder(folder)
    manifest = read_manifest(folder)
    verify_sizes(folder, manifest)
    unread = manifest.files.keys() & {GOLDEN, INDEX}  # all others are compared as they are read
    verify_files(folder, manifest, unread)
    items = ItemVectors.read(folder, manifest)

    def model(name: str) -> OnnxModel:
        return OnnxModel(folder / name, read_verified(folder, manifest, name))

    return Bundle(
        manifest=manifest,
        item_ids=read_item_ids(folder, manifest),
        items=items,
        index=_open_index(folder, manifest, items.vectors),
        ranker=model(RANKER),
        encoder=model(ENCODER),
        item_tower=model(ITEM_TOWER),
    )


def read_item_ids(folder: Path, manifest: Manifest) -> list[str]:
    """Return the (n,) ids of the bundle in `folder`, row by row.

    Raises:
        BundleError: they are not what the manifest says.
    """
    try:
        item_ids = msgspec.json.decode(read_verified(folder, manifest, ITEM_IDS), type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(folder, f"{ITEM_IDS} is no list of ids ({error})") from error
    if len(item_ids) != manifest.item_count:
        expected = manifest.item_count
        raise BundleError(folder, f"{ITEM_IDS} has {len(item_ids)} ids, expected {expected}")
    return item_ids


def _open_index(folder: Path, manifest: Manifest, vectors: Floats) -> ItemIndex:
    if INDEX not in manifest.files:
        return ExactIndex(vectors)
    try:
        return GraphIndex(folder / INDEX, vectors)
    except (RuntimeError, MemoryError) as error:
        raise BundleError(folder, f"{INDEX} does not load ({error})") from error


def _unit(vectors: Floats) -> Floats:
    """Return unit vectors, zero where the model gave none or something that is not finite."""
    finite = np.isfinite(vectors).all(axis=1, keepdims=True)
    vectors = np.where(finite, vectors, 0)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 1e-12, norms, 1)).astype(np.float32)
