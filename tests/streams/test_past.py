"""The past of users: kept by the fold, deleted with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import ENCODED, INTERACTION, TYPE_CODES
from freshet.core.settings import Settings
from freshet.core.state.past import LEFT_OUT, PAST_PAGES, page_fields, past_newest_first
from freshet.core.state.records import HISTORY_LENGTH, unpack_users
from streams.item_vectors import NO_VECTORS
from streams.user_fold import fold_users
from streams.user_fold_rows import EVENT_DTYPE, rules

from .conftest import NOW_MS
from .user_log import PARTITION, USERS, Folded, erasure, event

ANN, BOB = USERS[:2]
MANY = (PAST_PAGES + 3) * HISTORY_LENGTH + 17


def past(folded: Folded, user: str) -> list[int]:
    """The past of a user as it is read from the store."""
    fields = folded.store.hashes.get(folded.context.keys.past(PARTITION), {})
    record = folded.user(user)[0]
    return past_newest_first(record, [fields.get(name) for name in page_fields(user)]).tolist()


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.sampled_from(["click", "view", "impression", "hide", "skip", "share"])
        )
    ),
    st.integers(1, 5),
)
def test_pages_are_those_of_the_slow_twin(drawn: list[tuple[bool, str]], parts: int) -> None:
    """Of two users at once, in any batches: what the history is about to lose."""
    log = (drawn * (400 // max(len(drawn), 1)))[:400]
    users, found = unpack_users([None, None]), []
    for some in np.array_split(np.arange(len(log)), parts):
        events = np.zeros(len(some), EVENT_DTYPE)
        events["user"] = [log[row][0] for row in some]
        events["type"] = [TYPE_CODES[log[row][1]] for row in some]
        events["item"], events["event"] = some, some + 1
        events["ts_ms"] = events["log_ts_ms"] = NOW_MS
        fold = fold_users(users, events, np.zeros(1, np.int64), NO_VECTORS, rules(Settings()))
        found += [(page["user"], page["number"], page["items"].tolist()) for page in fold.pages]
    expected, held = [], ([], [])
    for row, (user, kind) in enumerate(log):
        if INTERACTION[TYPE_CODES[kind]]:
            number, rest = divmod(len(held[user]), HISTORY_LENGTH)
            if number and not rest:
                expected.append((user, number - 1, held[user][-HISTORY_LENGTH:]))
            held[user].append(row if ENCODED[TYPE_CODES[kind]] else LEFT_OUT)
    assert found == expected


@pytest.mark.parametrize(("at_most", "workers"), [(1_000, 1), (7, 3)])
async def test_the_past_is_what_the_history_lost(
    tmp_path: Path, at_most: int, workers: int
) -> None:
    """The newest pages of it, whatever the batches, and whoever folded them."""
    folded = Folded(tmp_path)
    rows = [event(number, ANN, item=f"i{number}") for number in range(MANY)]
    for some in np.array_split(np.arange(MANY), workers):
        await folded.start()
        await folded.read([*(rows[row] for row in some), event(some[0], BOB)], at_most)
    kept = range(3 * HISTORY_LENGTH, (PAST_PAGES + 3) * HISTORY_LENGTH)
    assert past(folded, ANN) == item_hashes([f"i{number}" for number in kept])[::-1].tolist()
    assert past(folded, BOB) == []


async def test_an_erasure_deletes_the_past(tmp_path: Path) -> None:
    """Of that person alone; what comes after it begins anew."""
    folded = Folded(tmp_path)
    await folded.start()
    for user in (ANN, BOB):
        await folded.read([event(f"{user}{number}", user) for number in range(120)])
    assert len(past(folded, ANN)) == len(past(folded, BOB)) == 100
    await folded.read([erasure(ANN)])
    fields = folded.store.hashes[folded.context.keys.past(PARTITION)]
    assert set(fields) == set(page_fields(BOB)[:2])
    await folded.read([event(f"new{number}", ANN, NOW_MS + 1) for number in range(51)])
    assert len(past(folded, ANN)) == 50


async def test_who_was_idle_leaves_no_past(tmp_path: Path) -> None:
    """The lifetime of the past is that of the user."""
    folded = Folded(tmp_path, user_ttl_s=60)
    shell = await folded.start()
    await folded.read([event(number, ANN) for number in range(60)])
    await folded.read([event("later", BOB, NOW_MS + 62_000)])
    assert await shell.forget_idle(PARTITION, 0) == 0
    assert set(folded.users) == {BOB}
    assert not folded.store.hashes[folded.context.keys.past(PARTITION)]
