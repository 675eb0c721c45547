"""Changes to the past of users: pages that a round wrote, and users who are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from freshet.core.state.keys import Keys
from freshet.core.state.past import PAGE_DTYPE, page_field, page_fields
from streams.packed import Packed
from streams.store import Changes


def pages_written(key: str, user_ids: Sequence[str], pages: NDArray[Any]) -> list[Changes]:
    """Return the change that writes pages, if there are any.

    Args:
        key: HASH of the past of the partition.
        user_ids: (p,) whose pages they are.
        pages: (p,) of `PAGE_ROW_DTYPE`.
    """
    if not len(pages):
        return []
    fields = list(map(page_field, user_ids, pages["number"].tolist()))
    values = Packed(pages["items"].tobytes(), [PAGE_DTYPE.itemsize] * len(pages))
    return [Changes(key, fields, values)]


def forgotten(keys: Keys, partition: int, user_ids: Sequence[str]) -> list[Changes]:
    """Return the changes that delete users: their records, their past, what they rejected."""
    fields = [field for user_id in user_ids for field in page_fields(user_id)]
    return [
        Changes(keys.users(partition), delete=user_ids),
        Changes(keys.past(partition), delete=fields),
        Changes(keys.unwanted(partition), delete=user_ids),
    ]
