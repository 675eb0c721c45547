"""Hydrate: everything that one request rests on, taken once.

Law: a request holds one user state, one bundle and one standing from its first stage to its last,
whatever is swapped meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.settings import Settings
from freshet.core.state.records import EMBEDDING_DIM
from online_models.session_index import SessionIndex
from serving.event_waits import EventWaits
from serving.fallback_blend import Blend
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.live_bundle import BoundBundle, LiveBundle
from serving.profile import Profile, encoded_vector, meet, session_vector
from serving.source_weights import SourceWeights
from serving.stages import Stages
from serving.standings import Standings
from serving.user_notices import UserNotices
from serving.user_sessions import UserSessions
from serving.user_state import UserState, UserStates, cold_user

AFTER_WAIT_S: Final = 0.25
AFTER_POLL_S: Final = 0.05  # should a notice be lost

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class State:
    """All that answers are made from, shared by all requests.

    Attributes:
        waits: requests that wait for an event.
        is_log_away: whether answers cannot be logged, nor new events come in.
        is_behind: whether events wait that nobody applies.
    """

    settings: Settings
    users: UserStates
    items: ItemState
    live: LiveBundle
    notices: UserNotices
    sessions: UserSessions
    sources: SourceWeights
    is_log_away: Callable[[], bool] = lambda: False
    is_behind: Callable[[], bool] = lambda: False
    waits: EventWaits = field(default_factory=EventWaits)


@dataclass(frozen=True, slots=True)
class Moment:
    """What one request rests on.

    Attributes:
        user_id: for whom the answer is.
        stages: the clock and the record of the request.
        consistent: whether the event that the client waits for is in; None when it names none.
        session: (EMBEDDING_DIM,) where the session points, zero when nothing is known.
        query: (EMBEDDING_DIM,) what the encoder makes of it; the session where that fails.
        blend: what the sources weigh where no ranker orders their finds.
    """

    user_id: str
    settings: Settings
    stages: Stages
    table: ItemTable
    sessions: SessionIndex
    standings: Standings
    bound: BoundBundle | None
    user: UserState
    consistent: bool | None
    profile: Profile
    session: Floats
    query: Floats
    blend: Blend


async def hydrate(
    state: State,
    user_id: str,
    after: str | None,
    stages: Stages | None = None,
    user: UserState | None = None,
) -> Moment:
    """Return the moment of a request; this is its only wait.

    Without an answer from Redis the user is the one last seen by this process, or a new one.

    Args:
        state: what answers are made from.
        user_id: for whom.
        after: an event to wait for, at most `AFTER_WAIT_S`.
        stages: the record of the request, where the caller has begun one.
        user: the state of the user, where the caller has just read it and waits for no event.
    """
    if stages is None:
        stages = Stages(state.settings.deadline_ms)
    consistent: bool | None = None
    if user is None:
        user, consistent = await _hydrated_user(state, user_id, after, stages)
    stages.restart_budget()  # waiting for an event was the client's wish
    if user.damaged:
        stages.left_out("user_state")
    if state.is_behind():
        stages.left_out("state_behind")
    if state.is_log_away():
        stages.left_out("kafka")
    if not (state.items.following and state.items.complete):
        stages.left_out("item_state")
    table, bound = state.items.table, state.live.current
    session = query = np.zeros(EMBEDDING_DIM, np.float32)
    if bound is None:
        stages.left_out("model")
        profile = meet(user, table, None, state.settings.unwanted_ttl_s)
    else:
        bound.bind(table.ids)
        profile = meet(user, table, bound, state.settings.unwanted_ttl_s)
        session = session_vector(profile, bound, state.settings.session_half_life_s)
        encode = partial(encoded_vector, profile, bound)
        query = stages.run("encoder", encode, otherwise=lambda: session)
    return Moment(
        user_id=user_id,
        settings=state.settings,
        stages=stages,
        table=table,
        sessions=state.sessions.index,
        standings=state.items.standings,
        bound=bound,
        user=user,
        consistent=consistent,
        profile=profile,
        session=session,
        query=query,
        blend=state.sources.blend,
    )


async def _hydrated_user(
    state: State, user_id: str, after: str | None, stages: Stages
) -> tuple[UserState, bool | None]:
    return await stages.wait(
        "hydrate",
        partial(_read, state, user_id, after),
        lambda: (state.users.remembered(user_id) or cold_user(), None if after is None else False),
        word="user_state",
    )


async def _read(state: State, user_id: str, after: str | None) -> tuple[UserState, bool | None]:
    if after is None:
        return await state.users.get(user_id), None
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + AFTER_WAIT_S
    with state.waits.wait(user_id) as may_wait, state.notices.subscribe(user_id) as changed:
        while True:
            changed.clear()
            user = await state.users.get(user_id)
            if user.holds(after):
                return user, True
            if not may_wait or clock() >= give_up_at:
                return user, False
            await _woken(changed, AFTER_POLL_S)


async def _woken(changed: asyncio.Event, timeout_s: float) -> None:
    """Wait for the event, or until the time is over: the notice may be late or lost."""
    try:
        async with asyncio.timeout(timeout_s):
            await changed.wait()
    except TimeoutError:
        return
