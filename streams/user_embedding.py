"""The session embeddings of users, written when they are stale.

Law: a function of the record and of the bundle's vectors; see `streams/user_fold.py`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, rows_of
from freshet.core.state.records import USER_DTYPE
from streams.user_fold_rows import RULES_DTYPE

CLEAN = 0  # `dirty` of a user, as in `streams/user_fold.py`
INTERACTED = 2


@compiled(numba.uint32, rows_of("u4"), rows_of("i8"), numba.int64)
def row_of(asked: int, hashes: NDArray[np.uint32], starts: NDArray[np.int64], shift: int) -> int:
    """Return the row of a hash, -1 when it is not there; see `VectorTable`."""
    row = starts[asked >> shift]
    while row < len(hashes) and hashes[row] < asked:
        row += 1
    return row if row < len(hashes) and hashes[row] == asked else -1


@compiled(
    rows_of(USER_DTYPE), rows_of("i8"), numba.int64, rows_of("u4"), rows_of("i8"), numba.int64,
    rows_of("f4", dimensions=2), rows_of(RULES_DTYPE), rows_of("i8"),
)  # fmt: skip
def embed_users(
    users: Any,
    changed: NDArray[np.int64],
    tag: int,
    hashes: NDArray[np.uint32],
    starts: NDArray[np.int64],
    shift: int,
    vectors: NDArray[np.float32],
    rules: Any,
    gaps_s: NDArray[np.int64],
) -> None:
    """Write the session embeddings that a new interaction or another bundle has made stale.

    The compiled twin of `session_sum` and `quantized` in `online_models/maths/session.py`.
    """
    rule = rules[0]
    total = np.empty(vectors.shape[1], np.float32)
    for row in changed:
        user = users[row]
        interacted = user.dirty == INTERACTED
        user.dirty = CLEAN
        if user.model_tag == tag and not (interacted and tag):
            continue
        user.model_tag = tag
        interactions = 0
        for kind in range(len(user.type_counts)):
            if rule.interaction[kind]:
                interactions += user.type_counts[kind]
        total[:] = 0
        age_s = 0
        for back in range(1, min(interactions, rule.session_events) + 1):
            slot = user.history[(interactions - back) % len(user.history)]
            at = row_of(slot.item, hashes, starts, shift)
            preference = rule.preference[slot.code >> 12]
            if at >= 0 and preference:
                decay = np.exp2(-age_s / rule.session_half_life_s)
                weight = np.float32(preference * decay)
                for axis in range(len(total)):
                    total[axis] += weight * vectors[at, axis]
            age_s += gaps_s[slot.code & 0xFFF]
        largest = np.float32(0)
        for axis in range(len(total)):
            largest = max(largest, abs(total[axis]))
        scale = np.float32(127) / largest if largest > 1e-6 else np.float32(0)
        for axis in range(len(total)):
            user.embedding[axis] = np.rint(total[axis] * scale)
