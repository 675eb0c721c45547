"""Whether ids, hashes and vectors of a bundle are of one another, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from freshet.core.errors import BundleError
from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import Identifier
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.manifest import HASHES, ITEM_IDS

_ROWS_AT_ONCE: Final = 65_536


def check_identity(folder: Path, bundle: Bundle) -> None:
    """Compare what names the rows of a bundle, and look at each vector.

    Raises:
        BundleError: an id is none or there twice, a hash is of another id, or a vector is not of
            unit length.
    """
    item_ids = bundle.item_ids
    try:
        msgspec.convert(item_ids, list[Identifier])
    except msgspec.ValidationError as error:
        raise BundleError(folder, f"{ITEM_IDS} holds what is no item id ({error})") from error
    if len(item_ids) != (different := len(set(item_ids))):
        raise BundleError(folder, f"{ITEM_IDS} has {len(item_ids)} ids, {different} different ones")
    others = np.flatnonzero(item_hashes(item_ids) != bundle.items.hashes)
    if len(others):
        raise BundleError(
            folder,
            f"{HASHES} and {ITEM_IDS} are not of the same items: {len(others)} of "
            f"{len(item_ids)} rows differ, row {others[0]} first",
        )
    for start in range(0, len(item_ids), _ROWS_AT_ONCE):
        norms = np.linalg.norm(bundle.item_vectors[start : start + _ROWS_AT_ONCE], axis=1)
        if not np.allclose(norms, 1, atol=1e-3):  # NaN fails too
            raise BundleError(folder, "its item vectors are not of unit length")
