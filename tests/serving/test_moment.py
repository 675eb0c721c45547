"""Hydrate: one user, one bundle, one standing for a request, whatever fails or is swapped."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import numpy as np
import pytest

from serving import moment
from serving.moment import State, hydrate

from .conftest import until


async def test_nobody_is_a_newcomer(state: State) -> None:
    """Nothing is missing, and nothing is known: the vectors point nowhere."""
    found = await hydrate(state, "nobody", None)
    assert (found.user_id, found.consistent, found.stages.degraded) == ("nobody", None, [])
    assert found.profile.rows.size == 0
    assert not found.session.any()


async def test_the_session_points_where_the_user_went(state: State, users: Any) -> None:
    """And the encoder makes something of it: another vector, of the same length."""
    users.act("ann", "item-3")
    found = await hydrate(state, "ann", None)
    assert found.session.any()
    assert np.isfinite(found.query).all()
    assert found.query.shape == found.session.shape
    assert found.table.ids[found.profile.rows[0]] == "item-3"


async def test_a_user_whom_redis_does_not_give_is_the_one_last_seen(
    state: State, users: Any
) -> None:
    """By this process; whoever was never seen is a newcomer. Both are said to be degraded."""
    users.act("ann", "item-3")
    before = await hydrate(state, "ann", None)
    users.down = True
    again, nobody = await hydrate(state, "ann", None), await hydrate(state, "bob", None)
    assert again.profile.rows.tolist() == before.profile.rows.tolist()
    assert nobody.profile.rows.size == 0
    assert again.stages.degraded == nobody.stages.degraded == ["user_state"]
    assert again.consistent is None


async def test_an_event_cannot_be_in_a_state_that_was_not_read(state: State, users: Any) -> None:
    """A client that names one is told no, not nothing."""
    users.down = True
    assert (await hydrate(state, "ann", "e1")).consistent is False


async def test_without_a_bundle_there_are_no_vectors(state: State, users: Any) -> None:
    """The model is missing, the profile is not."""
    users.act("ann", "item-3")
    state.live.current = None
    found = await hydrate(state, "ann", None)
    assert found.stages.degraded == ["model"]
    assert found.bound is None
    assert not found.session.any()
    assert not found.query.any()
    assert found.profile.rows.size == 1


async def test_an_encoder_that_fails_leaves_the_session(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The query is the session's own vector."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("bad bundle")

    users.act("ann", "item-3")
    monkeypatch.setattr(moment, "encoded_vector", broken)
    found = await hydrate(state, "ann", None)
    assert found.stages.degraded == ["encoder"]
    assert found.query is found.session
    assert found.session.any()


async def test_what_is_missing_is_named_in_the_order_of_the_funnel(
    state: State, users: Any
) -> None:
    """User, items, model."""
    users.down, state.items.following, state.live.current = True, False, None
    found = await hydrate(state, "ann", None)
    assert found.stages.degraded == ["user_state", "item_state", "model"]


async def test_a_request_keeps_what_it_began_with(state: State, users: Any) -> None:
    """A bundle that is swapped and a user who goes on are for the next one."""
    users.act("ann", "item-3")
    found = await hydrate(state, "ann", None)
    bound, standings = found.bound, found.standings
    state.live.current = None
    users.act("ann", "item-4")
    assert found.bound is bound is not None
    assert found.standings is standings
    assert found.profile.rows.size == 1


async def test_a_record_of_the_caller_is_gone_on_with(state: State) -> None:
    """What was missing before stands first."""
    begun = (await hydrate(state, "ann", None)).stages
    begun.left_out("model")
    assert (await hydrate(state, "ann", None, begun)).stages is begun


async def test_an_event_that_is_there_is_not_waited_for(state: State, users: Any) -> None:
    """One read."""
    reads = counted(users)
    users.act("ann", "item-3", event_id="e1")
    assert (await hydrate(state, "ann", "e1")).consistent is True
    assert reads == ["ann"]


async def test_an_event_is_waited_for_until_its_notice_comes(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without looking in between; and nobody waits any more in the end."""
    monkeypatch.setattr(moment, "AFTER_POLL_S", 30.0)
    monkeypatch.setattr(moment, "AFTER_WAIT_S", 30.0)
    reads = counted(users)
    asking = asyncio.create_task(hydrate(state, "ann", "e1"))
    await until(lambda: len(reads) == 1)
    users.act("ann", "item-3", event_id="e1")
    assert not asking.done()
    state.notices.notify(["ann"])
    assert (await asyncio.wait_for(asking, 20)).consistent is True
    assert reads == ["ann", "ann"]
    assert not state.notices._waiting


async def test_a_notice_that_is_lost_is_made_up_for_by_looking(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every few milliseconds."""
    monkeypatch.setattr(moment, "AFTER_POLL_S", 0.001)
    monkeypatch.setattr(moment, "AFTER_WAIT_S", 30.0)
    reads = counted(users)
    asking = asyncio.create_task(hydrate(state, "ann", "e1"))
    await until(lambda: len(reads) > 2)
    users.act("ann", "item-3", event_id="e1")
    assert (await asyncio.wait_for(asking, 20)).consistent is True


async def test_waiting_for_an_event_costs_the_stages_nothing(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was the client's wish: their budgets begin behind it."""
    monkeypatch.setattr(moment, "AFTER_WAIT_S", 0.05)
    found = await hydrate(state, "ann", "never")
    assert found.consistent is False
    assert found.stages.took_ms >= 50
    assert found.stages._budget_from_s > found.stages._started_s


def counted(users: Any) -> list[str]:
    """Note who is read."""
    reads: list[str] = []
    get = users.get

    async def noted(user_id: str) -> Any:
        reads.append(user_id)
        return await get(user_id)

    users.get = noted
    return reads


async def test_a_state_that_is_behind_is_said(state: State) -> None:
    """No failure of a stage: the list is what it can be."""
    behind = dataclasses.replace(state, is_behind=lambda: True)
    stages = (await hydrate(behind, "ann", None)).stages
    assert stages.degraded == ["state_behind"]
    assert stages.failures == []
