"""What each person acted on, in the order of the log, against their history and their past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from freshet.core.events.partition import item_hashes
from freshet.core.state.past import PAST_PAGES, page_fields, past_newest_first
from freshet.core.state.reader import StateReader
from freshet.core.state.records import HISTORY_LENGTH, history_newest_first


def wrong_sequences(state: StateReader, acted: Mapping[str, Sequence[str]]) -> int:
    """Return of how many people the state tells another sequence than the log.

    Args:
        state: to be looked at.
        acted: items of the interactions of each person, oldest first.
    """
    pages = state.pages()
    found = {}
    for user_id, record in zip(*state.users(), strict=True):
        past = past_newest_first(record, [pages.get(field) for field in page_fields(user_id)])
        found[user_id] = history_newest_first(record)["item"].tolist(), past.tolist()
    return sum(
        found.get(user_id, ([], [])) != _expected(acted.get(user_id, []))
        for user_id in {*found, *acted}
    )


def _expected(items: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return history and past of who acted on these, newest first, as hashes."""
    hashes = np.asarray(item_hashes(items))
    turned = max(len(hashes) - 1, 0) // HISTORY_LENGTH * HISTORY_LENGTH
    history, past = hashes[-HISTORY_LENGTH:], hashes[:turned][-PAST_PAGES * HISTORY_LENGTH :]
    return history[::-1].tolist(), past[::-1].tolist()
