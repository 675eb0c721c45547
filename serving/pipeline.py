"""The funnel, on one page.

Law: each stage has a name, a share of the deadline and something to go on with when it fails
(`serving.stages`); the popular items never fail, so that an answer is never empty. Only the first
stage waits. Randomness is an argument, and the last decision uses it.
"""

from __future__ import annotations

import numpy as np

from freshet.core.errors import RequestError
from online_models.maths.topk import top_k
from serving.answer import Query, RankQuery
from serving.assembly import Served, assemble
from serving.explore import Slots, explore
from serving.filters import keep
from serving.moment import State, hydrate
from serving.ranking import rank, rerank
from serving.sources.found import fuse
from serving.sources.gather import gather


async def recommend(
    state: State, query: Query, request_id: str, rng: np.random.Generator
) -> Served:
    """Return a list for a user.

    Raises:
        RequestError: no item passes the request's own filters.
        ServiceError: the catalogue is empty.
    """
    moment = await hydrate(state, query.user, query.after)
    found = gather(moment, query)
    union = keep(moment, found, query)
    ranked = rank(moment, union)
    order = rerank(moment, ranked, query.k)
    slots = explore(moment, ranked, order, rng)
    return assemble(moment, ranked, slots, request_id)


async def rank_items(state: State, query: RankQuery, request_id: str) -> Served:
    """Return the client's own candidates, all of them, in the order for a user.

    Raises:
        RequestError: the catalogue offers none of them.
    """
    moment = await hydrate(state, query.user, query.after)
    rows = moment.table.rows(dict.fromkeys(query.items))
    offered = rows[(rows >= 0) & moment.table.offered[rows]]
    if not len(offered):
        raise RequestError("the catalogue offers none of these items", field="items", status=422)
    found = gather(moment, Query(user=query.user))
    union = fuse(found, also=offered)
    ranked = rank(moment, union.take(np.isin(union.rows, offered)))
    slots = Slots.fixed(top_k(ranked.scores, len(offered)))
    unknown = [item_id for item_id in query.items if not moment.table.offers(item_id)]
    return assemble(moment, ranked, slots, request_id, unknown)
