"""A bundle that was never written: models still in training, asked as serving will ask them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import nn

from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.item_index import ExactIndex
from online_models.artifacts.manifest import FORMAT, Manifest, tag_of
from online_models.artifacts.vectors import ItemVectors
from online_models.content import CONTENT_SCHEMA
from online_models.features import FEATURE_SCHEMA
from online_models.training.encoder import EncoderModel
from online_models.training.log import TrainingLog
from online_models.training.networks import ContentTower, HistoryEncoder
from online_models.training.ranker import untrained_ranker
from online_models.training.slate_head import RankerColumns, SlateHead


class _Network:
    """A network with the calling convention of an ONNX model."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def __call__(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        output: NDArray[np.float32] = self._network(**tensors).numpy()
        return output


def trial_bundle(
    log: TrainingLog,
    rows: NDArray[np.int64],
    model: EncoderModel,
    ranker: nn.Module | None = None,
    head: SlateHead | None = None,
) -> Bundle:
    """Return the models as a bundle; what is trained on changes it, so ask before that.

    Args:
        log: the log.
        rows: (n,) rows of the items that exist.
        model: encoder and item tower.
        ranker: the ranker; without one, candidates are ordered by the fusion of the sources.
        head: orders the items of a slate; None where the click does.
    """
    rows = rows[np.argsort(log.hashes[rows], kind="stable")]
    vectors = model.item_vectors()[rows]
    # A session of other vectors speaks another language, so they give the version its name.
    version = f"trial-{xxhash.xxh3_64_hexdigest(vectors.tobytes())}"
    manifest = Manifest(
        format=FORMAT,
        version=version,
        created_ts_ms=0,
        parent=None,
        feature_schema=FEATURE_SCHEMA,
        content_schema=CONTENT_SCHEMA,
        dim=EMBEDDING_DIM,
        item_count=len(rows),
        golden_tolerance=0.0,
        files={},
        metrics={},
    )
    return Bundle(
        manifest=manifest,
        item_ids=[log.items[row].item_id for row in rows.tolist()],
        items=ItemVectors(tag_of(version), log.hashes[rows], vectors),
        index=ExactIndex(vectors),
        ranker=_Network(RankerColumns(ranker or untrained_ranker(), head)),
        encoder=_Network(HistoryEncoder(model.encoder)),
        item_tower=_Network(ContentTower(model.tower)),
    )
