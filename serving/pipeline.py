"""The funnel, on one page.

Law: each stage has a name, a share of the deadline and something to go on with when it fails
(`serving.stages`); the popular items never fail, so that an answer is never empty. Only the first
stage waits. Randomness is an argument, and the last decision uses it. What a request changes is its
own record, `serving.stages`; who answers a person counts it, and an evaluation does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import RequestError
from online_models.maths.topk import top_k
from serving.answer import Query, RankQuery
from serving.assembly import Served, assemble
from serving.explore import Slots, explore
from serving.filters import keep
from serving.moment import Moment, State, hydrate
from serving.ranking import Ranked, rank, rerank
from serving.sources.found import Found, fuse
from serving.sources.gather import gather
from serving.stages import Stages
from serving.user_state import UserState


async def recommend(
    state: State,
    query: Query,
    request_id: str,
    rng: np.random.Generator,
    stages: Stages | None = None,
    user: UserState | None = None,
) -> Served:
    """Return a list for a user.

    Args:
        state: what answers are made from.
        query: what is asked for.
        request_id: names the answer.
        rng: of the exploration.
        stages: the record of the request, for a caller that looks at it; also after an error.
        user: the state of the user, where the caller has just read it.

    Raises:
        RequestError: no item passes the request's own filters.
        ServiceError: the catalogue is empty.
    """
    moment = await hydrate(state, query.user, query.after, stages, user)
    result = funnel(moment, query)
    slots = explore(moment, result.ranked, result.order, rng)
    return assemble(moment, result.ranked, slots, request_id)


@dataclass(frozen=True, slots=True)
class FunnelResult:
    """A request after the last stage that is not random.

    Attributes:
        moment: what it rests on.
        found: what each source found, hidden items among them.
        ranked: the candidates.
        order: (k,) indices of candidates: the list after re-ranking.
    """

    moment: Moment
    found: list[Found]
    ranked: Ranked
    order: NDArray[np.int64]


def funnel(moment: Moment, query: Query) -> FunnelResult:
    """Return the list for a request without exploration; the server and the evaluation share it.

    Raises:
        RequestError: no item passes the request's own filters.
        ServiceError: the catalogue is empty.
    """
    found = gather(moment, query)
    union = keep(moment, found, query)
    ranked = rank(moment, union)
    return FunnelResult(moment, found, ranked, rerank(moment, ranked, query.k))


async def rank_items(
    state: State, query: RankQuery, request_id: str, stages: Stages | None = None
) -> Served:
    """Return the client's own candidates, all of them, in the order for a user.

    Those that the user rejected come last, and are named.

    Args:
        state: what answers are made from.
        query: whose candidates, and which.
        request_id: names the answer.
        stages: the record of the request, for a caller that looks at it; also after an error.

    Raises:
        RequestError: the catalogue offers none of them.
    """
    moment = await hydrate(state, query.user, query.after, stages)
    rows = moment.table.rows(dict.fromkeys(query.items))
    offered = rows[(rows >= 0) & moment.table.offered[rows]]
    if not len(offered):
        raise RequestError("the catalogue offers none of these items", field="items", status=422)
    found = gather(moment, Query(user=query.user))
    union = fuse(found, also=offered)
    ranked = rank(moment, union.take(np.isin(union.rows, offered)), as_slate=True)
    best = top_k(ranked.scores, len(offered))
    rejected = ranked.factors[best] == 0
    slots = Slots.fixed(np.concatenate([best[~rejected], best[rejected]]))
    unknown = [item_id for item_id in query.items if not moment.table.offers(item_id)]
    return assemble(moment, ranked, slots, request_id, unknown)
