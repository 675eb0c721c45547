"""The past of a user: interactions from before the history, in pages.

Law: a page holds `HISTORY_LENGTH` interactions of one user, numbers 50 p to 50 p + 49 for page p,
and is written when the history begins to write over them. So a user without more interactions than
a history holds has no past, and costs nothing. The last `PAST_PAGES` pages are kept: page p stands
in the field that page p - `PAST_PAGES` stood in. The newest page repeats what the history still
holds of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import HISTORY_LENGTH, interactions

PAST_PAGES: Final = 20
LEFT_OUT: Final = 0
PAGE_DTYPE: Final = np.dtype(("<u4", (HISTORY_LENGTH,)))
"""A page: hashes of the items, oldest first; `LEFT_OUT` for a rejection and for a skip."""


def page_field(user_id: str, page: int) -> str:
    """Return the field of a page in the HASH of its partition.

    >>> page_field("u1", 3), page_field("u1", 3 + PAST_PAGES)
    ('3:u1', '3:u1')
    """
    return f"{page % PAST_PAGES}:{user_id}"


def page_fields(user_id: str) -> list[str]:
    """Return all fields that pages of a user may stand in."""
    return [page_field(user_id, page) for page in range(PAST_PAGES)]


def past_newest_first(user: np.void, pages: Sequence[bytes | None]) -> NDArray[np.uint32]:
    """Return the items of the past, (n <= PAST_PAGES * HISTORY_LENGTH,) hashes, newest first.

    Rejections and skips are no items of the past: nobody comes back to what they did not want.

    Args:
        user: the record, of `USER_DTYPE`.
        pages: values of `page_fields`, or nothing; one that is missing is left out.
    """
    if not pages:
        return np.empty(0, "<u4")
    written = max(int(interactions(user)) - 1, 0) // HISTORY_LENGTH
    kept = range(max(written - PAST_PAGES, 0), written)
    found = [pages[page % PAST_PAGES] or b"" for page in kept]
    items = np.frombuffer(b"".join(found), "<u4")[::-1]
    return np.asarray(items[items != LEFT_OUT])
