"""Records of users, cut into sessions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import VISIT
from freshet.core.state.records import HISTORY_LENGTH, history_newest_first
from online_models.session_index import SESSION_GAP_S
from serving import user_sessions
from serving.item_table import ItemTable
from serving.user_sessions import UserSessions

NOW_MS = 1_763_800_000_000
LATER_MS = NOW_MS + int(2000 * SESSION_GAP_S)


@pytest.fixture
def put(users: Any, sessions: UserSessions) -> Any:
    """`put("ann", "bob")` lets the sessions read these users."""

    def read(*user_ids: str) -> None:
        records = np.array([users.records[user_id] for user_id in user_ids])
        sessions.put(user_ids, records)

    return read


def held(table: ItemTable, sessions: UserSessions, *numbers: int) -> list[list[str]]:
    items = sessions.index.items[list(numbers)]
    return [[table.ids[row] for row in some if row >= 0] for some in items]


def test_a_history_becomes_sessions(
    users: Any, put: Any, table: ItemTable, sessions: UserSessions
) -> None:
    """Of visits alone, in the order of time, cut at gaps; items that are not known stay out."""
    users.act("ann", "item-1")
    users.act("ann", "item-2", kind="dwell")
    users.act("ann", "never heard of")
    users.act("ann", "item-3")
    users.act("ann", "item-4", ts_ms=LATER_MS)
    users.act("bob", "item-5", kind="impression")
    put("ann", "bob")
    assert held(table, sessions, 0, 1) == [["item-1", "item-3"], ["item-4"]]
    assert len(sessions.index) == 2


def test_a_record_that_is_read_again_tells_what_is_new(
    users: Any, put: Any, table: ItemTable, sessions: UserSessions
) -> None:
    """However often it is read, and however much happened between."""
    users.act("ann", "item-1")
    put("ann")
    put("ann")
    users.act("bob", "item-1")
    put("bob")
    for number in range(2, 6):
        users.act("ann", f"item-{number}")
    put("ann", "bob")
    assert held(table, sessions, 0, 1) == [[f"item-{n}" for n in range(1, 6)], ["item-1"]]


def test_a_history_that_ran_over_is_read_as_far_as_it_reaches(
    users: Any, put: Any, table: ItemTable, sessions: UserSessions
) -> None:
    """The oldest visits are gone."""
    for number in range(HISTORY_LENGTH + 5):
        users.act("ann", f"item-{number}")
    put("ann")
    assert held(table, sessions, 0) == [[f"item-{5 + n}" for n in range(HISTORY_LENGTH)]]


def test_who_was_forgotten_for_idleness_is_new(
    users: Any, put: Any, table: ItemTable, sessions: UserSessions
) -> None:
    """A record that counts less than before began anew."""
    for number in (1, 2, 3):
        users.act("ann", f"item-{number}")
    put("ann")
    del users.records["ann"]
    users.act("ann", "item-4", ts_ms=LATER_MS)
    put("ann")
    assert held(table, sessions, 0, 1) == [["item-1", "item-2", "item-3"], ["item-4"]]


def test_many_histories_are_read_as_each_alone(users: Any, table: ItemTable) -> None:
    """Of any lengths, over the end of the ring, with dwells and long gaps among the visits."""
    generator = np.random.default_rng(7)
    names = [f"user-{n}" for n in range(30)]
    for n, name in enumerate(names):
        for at in range(2 * n):
            kind = "dwell" if generator.random() < 0.2 else "click"
            ts_ms = NOW_MS + 50_000_000 * at
            users.act(name, f"item-{generator.integers(20)}", kind=kind, ts_ms=ts_ms)
    users.act("idle", "item-1", kind="impression")
    records = np.array([users.records[name] for name in [*names[1:], "idle"]])
    together, one_by_one = UserSessions(table), UserSessions(table)
    together.put([*names[1:], "idle"], records)
    for name, record in zip(names[1:], records[:-1], strict=True):
        history = history_newest_first(record)[::-1]
        for item, ts_s, _ in history[VISIT[history["type"]]].tolist():
            row = table.rows_of_hashes(np.array([item]))[0]
            one_by_one.index.visit(name, row, ts_s)
    assert len(together.index) == len(one_by_one.index) > 100
    assert together.index.items.tolist() == one_by_one.index.items.tolist()
    assert (together.index.sessions == one_by_one.index.sessions).all()


def test_who_was_erased_leaves_nothing(users: Any, put: Any, sessions: UserSessions) -> None:
    """And is as good as new afterwards; `forget_all` is everyone."""
    users.act("ann", "item-1")
    users.act("bob", "item-1")
    put("ann", "bob")
    sessions.forget(["ann"])
    assert len(sessions.index) == 1
    put("ann")
    assert len(sessions.index) == 2
    sessions.forget_all()
    assert len(sessions.index) == 0


def test_what_is_remembered_of_readings_is_bounded(
    users: Any, put: Any, sessions: UserSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users without a session are forgotten first."""
    monkeypatch.setattr(user_sessions, "SESSIONS_KEPT", 2)
    for name in ("ann", "bob", "carl", "dora"):
        users.act(name, "item-1", kind="dwell")
        put(name)
    assert len(sessions._read) == 4
    users.act("emil", "item-1")
    put("emil")
    assert list(sessions._read) == ["emil"]
