"""The truth of a log: what the folds make of it, said by lists and sets."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from freshet.core.events.codec import encode
from freshet.core.events.control import Erasure, encode_control
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from freshet.core.state.past import page_field
from replay.chaos.audit.logs import Logged, Logs, TopicRecords
from replay.chaos.audit.refold import Refolded
from replay.chaos.log_truth import LogTruth, read_log
from replay.chaos.people_truth import wrong_additions, wrong_unwanted
from replay.chaos.sequences import wrong_sequences
from replay.chaos.traffic import POISON_HEADER
from replay.chaos.verdict import wrong_entries, wrong_erasures

T = 1_700_000_000_000


def topic(*values: bytes | None, poison: str = "") -> TopicRecords:
    """One partition; `poison` is the reason of the last record."""
    records = [Logged(offset, None, value, T, {}) for offset, value in enumerate(values)]
    if poison:
        records[-1] = records[-1]._replace(headers={POISON_HEADER: poison.encode()})
    return TopicRecords([records], np.array([len(records)]))


def click(number: str, at_ms: int = 0, user: str = "ann", item: str = "i") -> bytes:
    event = Event(
        event_id=f"sent-{number}", type="click", user_id=user, item_id=item, ts_ms=T + at_ms
    )
    return encode(msgspec.structs.replace(event, request_id="r"))


def erased(at_ms: int, user: str = "ann") -> bytes:
    return encode_control(Erasure(erase=user, ts_ms=T + at_ms))


def truth(*values: bytes | None, poison: str = "") -> LogTruth:
    return read_log(topic(*values, poison=poison), Settings())


def test_an_empty_log_says_nothing() -> None:
    """And no one is there."""
    empty = truth()
    assert (empty.ends.tolist(), empty.events.tolist(), dict(empty.acting)) == ([0], [0], {})


def test_events_copies_and_poison_are_told_apart() -> None:
    """An event that comes again is a copy; poison is known by its header, whatever it holds."""
    found = truth(click("e1"), click("e2", 5), click("e1"), b"{bad", poison="undecodable")
    assert (found.events.tolist(), found.copies.tolist()) == ([2], [1])
    assert found.poison == {(0, 3): "undecodable"}
    assert found.poisoned.tolist() == [1]
    assert found.sent == {"sent-e1", "sent-e2"}
    assert found.newest_ms.tolist() == [T + 5]
    assert [each.ts_ms for each in found.responses["r"]] == [T, T + 5]
    assert (found.acting["ann"].applied, found.acting["ann"].interacted_at) == (2, 2)


def test_who_was_erased_is_gone_and_stays_so() -> None:
    """What is older, or comes again, stays out; what is newer makes another user."""
    found = truth(click("e1"), erased(10), click("e1"), click("e2", 10), click("e3", 11))
    assert (found.erasures.tolist(), found.forgotten.tolist()) == ([1], [2])
    assert (found.events.tolist(), found.copies.tolist()) == ([2], [0])
    assert found.acting["ann"].applied == 1
    assert found.users.sent["ann"].sum() == 1
    assert found.items.sent["i"].sum() == 2
    assert found.erased_ms == {"ann": T + 10}
    assert found.sent == {"sent-e1", "sent-e2", "sent-e3"}
    assert truth(click("e1"), erased(10)).acting == {}


def test_the_folds_make_what_the_simple_truth_says(
    logs: Logs, settings_of_logs: Settings, workers_made: Refolded
) -> None:
    """Of all that the traffic sends; each of the comparisons has something to compare."""
    found, state = read_log(logs.events, settings_of_logs), workers_made.state
    assert found.users.audit(*state.users()).wrong == 0
    assert found.items.audit(*state.items()).wrong == 0
    people = found.people
    assert wrong_sequences(state, people.users) == 0
    assert wrong_unwanted(state.unwanted(), people.users) == 0
    assert wrong_additions(*state.items(), people.added) == 0
    assert wrong_erasures(state, found) == []
    assert len(found.erased_ms) >= 2
    offered, wrong = wrong_entries(state, logs.catalog)
    assert (offered > 30, wrong) == (True, [])


@pytest.mark.parametrize("left", ["users", "unwanted", "past"])
def test_what_is_left_of_somebody_who_was_erased_is_seen(
    logs: Logs, settings_of_logs: Settings, left: str
) -> None:
    """In any of the hashes."""
    again = Refolded(logs, settings_of_logs, settings_of_logs.partitions)
    found = read_log(logs.events, settings_of_logs)
    gone = next(user for user in found.erased_ms if user not in found.acting)
    store = again.state._client._store
    of_someone = next(iter(store.hashes[f"chaos:{{u0}}:{left}"].values()))
    field = page_field(gone, 0) if left == "past" else gone
    where = partition_of(gone, settings_of_logs.partitions)
    store.hashes[f"chaos:{{u{where}}}:{left}"][field] = of_someone
    assert wrong_erasures(again.state, found) == [gone]


def test_an_entry_that_is_missing_or_old_is_seen(logs: Logs, settings_of_logs: Settings) -> None:
    """Of the catalogue."""
    again = Refolded(logs, settings_of_logs, settings_of_logs.partitions)
    entries = again.state._client._store.hashes["chaos:{i0}:catalog"]
    first, second, *_ = sorted(entries)
    entries[first] = b"{}"
    del entries[second]
    assert wrong_entries(again.state, logs.catalog)[1] == [first, second]
