"""The logs folded again: the same state whatever the batches were, and a lost row is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.settings import Settings
from freshet.core.state.reader import SECTIONS
from replay.chaos import controls
from replay.chaos.audit import refold
from replay.chaos.audit.logs import Logs, TopicRecords
from replay.chaos.audit.refold import Refolded, differences
from replay.chaos.vectors import live_chaos_vectors


def refolded(logs: Logs, settings: Settings, **options: Any) -> Refolded:
    return Refolded(logs, settings, settings.partitions, live_chaos_vectors(), **options)


def test_empty_logs_come_to_an_empty_state(settings_of_logs: Settings) -> None:
    """No field, and no difference."""
    nothing = TopicRecords([[]] * 3, np.zeros(3, np.int64))
    again = refolded(Logs(*[nothing] * 4), settings_of_logs)
    assert again.state.users()[0] == []
    assert differences(again.state, again.state)[1] == []


@pytest.mark.parametrize("batch_events", [31, refold.OTHER_BATCH_EVENTS])
def test_other_batches_make_the_same_state(
    logs: Logs, settings_of_logs: Settings, workers_made: Refolded, batch_events: int
) -> None:
    """Field by field, and every section has some."""
    again = refolded(logs, settings_of_logs, batch_events=batch_events)
    compared, differing = differences(workers_made.state, again.state)
    assert differing == []
    assert compared > 500
    assert [name for name, each in again.state.entries().items() if not list(each)] == []
    assert set(again.state.entries()) == set(SECTIONS)
    embeddings = again.state.users()[1]["embedding"]
    assert (np.abs(embeddings).max(axis=1) > 0).mean() > 0.01


def test_a_few_transitions_that_are_lost_are_seen(
    logs: Logs,
    settings_of_logs: Settings,
    workers_made: Refolded,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the users alone say nothing of it."""
    monkeypatch.setattr(refold, "ItemShell", controls.LossyItems)
    monkeypatch.setattr(controls, "LOST_ONE_IN", 100)  # of a log that is short
    lossy = refolded(logs, settings_of_logs)
    _, differing = differences(lossy.state, workers_made.state)
    assert differing
    assert {each.partition(":")[0] for each in differing} == {"covisits"}


def test_a_field_too_many_too_few_or_other_is_named(
    logs: Logs, settings_of_logs: Settings, workers_made: Refolded
) -> None:
    """Of one section, by its name."""
    again = refolded(logs, settings_of_logs)
    client: Any = again.state._client
    users = client._store.hashes["chaos:{u0}:users"]
    first, second, *_ = sorted(users)
    users[first], users["stranger"] = users[second], users[second]
    del users[second]
    expected = sorted(f"users: {name}" for name in (first, second, "stranger"))
    assert sorted(differences(again.state, workers_made.state)[1]) == expected
