"""The audit of law 1: per person and type, in both directions."""

import numpy as np

from freshet.core.events.schema import TYPE_CODES, Event
from freshet.core.state.records import unpack_users
from replay.audit import Ledger

T = 1_700_000_000_000


def _events(user: str, *kinds: str) -> list[Event]:
    return [
        Event(event_id=f"{user}{n}", type=kind, user_id=user, item_id="i", ts_ms=T)
        for n, kind in enumerate(kinds)
    ]


def _users(*counts: dict[str, int]) -> np.ndarray:
    users = unpack_users([None] * len(counts))
    for user, found in zip(users, counts, strict=True):
        for kind, count in found.items():
            user["type_counts"][TYPE_CODES[kind]] = count
    return users


def test_nothing_sent_and_nothing_counted_agree() -> None:
    """The empty installation is whole."""
    audit = Ledger().audit([], _users())
    assert (audit.produced, audit.applied, audit.lost, audit.doubled, audit.worst) == (
        0,
        0,
        0,
        0,
        [],
    )


def test_exact_counts_agree() -> None:
    """Of every person and type."""
    ledger = Ledger()
    ledger.note(_events("a", "click", "click", "like") + _events("b", "hide"))
    audit = ledger.audit(["a", "b"], _users({"click": 2, "like": 1}, {"hide": 1}))
    assert (audit.produced, audit.applied, audit.lost, audit.doubled) == (4, 4, 0, 0)


def test_a_loss_is_not_made_good_by_a_double() -> None:
    """Not of another person, and not of another type."""
    ledger = Ledger()
    ledger.note(_events("a", "click", "like") + _events("b", "click"))
    audit = ledger.audit(["a", "b"], _users({"click": 2}, {"click": 1}))
    assert (audit.produced, audit.applied, audit.lost, audit.doubled) == (3, 3, 1, 1)
    assert audit.worst == ["a"]


def test_people_whom_only_one_side_knows_count() -> None:
    """A person lost whole, and a person from nowhere."""
    ledger = Ledger()
    ledger.note(_events("lost", "click"))
    audit = ledger.audit(["nobody"], _users({"click": 2}))
    assert (audit.lost, audit.doubled, audit.worst) == (1, 2, ["nobody", "lost"])
