"""`/v1/recommendations` and `/v1/rank`: an answer, and the log of what was answered.

Law: a GET counts nothing unless its query says so; a POST counts what it answers unless its body
says that the client does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from litestar import get, post

from serving.answer import AddressQuery, Answer, Query, RankQuery
from serving.assembly import Served
from serving.funnel_metrics import count_answer, counted_stages
from serving.http.bodies import read_body, read_query
from serving.http.caller import has_effects
from serving.http.problems import AnyRequest
from serving.http.services import Services
from serving.pipeline import rank_items, recommend
from serving.user_state import UserState


def routes(services: Services) -> list[Any]:
    """Return the routes."""

    @get("/v1/recommendations")
    async def get_recommendations(request: AnyRequest) -> Answer:
        return await _recommend(
            services, read_query(request, AddressQuery), log=has_effects(request)
        )

    @post("/v1/recommendations", status_code=200)
    async def post_recommendations(request: AnyRequest) -> Answer:
        return await _recommend(services, await read_body(request, Query), log=True)

    @post("/v1/rank", status_code=200)
    async def post_rank(request: AnyRequest) -> Answer:
        query = await read_body(request, RankQuery)
        with services.turns.request(), counted_stages(services.state.settings) as stages:
            served = await rank_items(services.state, query, services.new_id(), stages)
        count_answer(served.answer)
        services.log.slate(served)
        return served.answer

    return [get_recommendations, post_recommendations, post_rank]


async def answer(
    services: Services, query: Query, *, log: bool = True, user: UserState | None = None
) -> Served:
    """Return a list for a user, counted in the metrics.

    Args:
        services: what it is made from.
        query: what is asked for.
        log: whether it leaves a trace: what a foreign page embeds as an image must not.
        user: the state of the user, where the caller has just read it.
    """
    rng = services.rng if query.seed is None else np.random.default_rng(query.seed)
    with counted_stages(services.state.settings) as stages:
        served = await recommend(services.state, query, services.new_id(), rng, stages, user)
    count_answer(served.answer)
    if log:
        services.state.sources.note(served.moment, served.union, query)
        services.log.slate(served)
    return served


async def _recommend(services: Services, query: Query, *, log: bool) -> Answer:
    with services.turns.request():
        served = await answer(services, query, log=log)
    if log and query.impressions == "server":
        services.log.impressions(served.answer)
    return served.answer
