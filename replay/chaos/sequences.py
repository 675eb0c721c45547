"""What each person acted on, in the order of the log, against their history and their past."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import ENCODED
from freshet.core.state.past import PAST_PAGES, page_fields, past_newest_first
from freshet.core.state.reader import StateReader
from freshet.core.state.records import HISTORY_LENGTH, history_newest_first
from replay.chaos.user_truth import Interaction, UserTruth


def wrong_sequences(state: StateReader, users: Mapping[str, UserTruth]) -> int:
    """Return of how many people the state tells another sequence than the log.

    Args:
        state: to be looked at.
        users: what the log says of each person.
    """
    pages = state.pages()
    found = {}
    for user_id, record in zip(*state.users(), strict=True):
        past = past_newest_first(record, [pages.get(field) for field in page_fields(user_id)])
        found[user_id] = history_newest_first(record)["item"].tolist(), past.tolist()
    return sum(
        found.get(user_id, ([], [])) != _expected(users[user_id].acted if user_id in users else [])
        for user_id in {*found, *users}
    )


def _expected(acted: list[Interaction]) -> tuple[list[int], list[int]]:
    """Return history and past of who acted so, newest first, as hashes."""
    hashes = np.asarray(item_hashes([each.item for each in acted]))
    turned = max(len(hashes) - 1, 0) // HISTORY_LENGTH * HISTORY_LENGTH
    history, past = hashes[-HISTORY_LENGTH:], hashes[:turned][-PAST_PAGES * HISTORY_LENGTH :]
    wanted = ENCODED[[each.kind for each in acted]][:turned][-PAST_PAGES * HISTORY_LENGTH :]
    return history[::-1].tolist(), past[wanted][::-1].tolist()
