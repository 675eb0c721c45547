"""`/v1/items` and `/v1/trending`: the catalogue, and what is near or rising in it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

import numpy as np
from litestar import delete, get, put
from msgspec import Meta, Struct
from numpy.typing import NDArray

from freshet.core.errors import EventError, RequestError, ServiceError
from freshet.core.events.codec import TOO_LARGE, encode_item
from freshet.core.events.schema import Identifier, Item
from freshet.core.state.records import TREND_HALF_LIVES_S
from online_models.maths.topk import top_k
from serving.answer import MAX_K
from serving.http.bodies import converted, read_json, read_query
from serving.http.caller import id_of
from serving.http.problems import AnyRequest
from serving.http.services import Services
from serving.item_table import ItemTable, Rows
from serving.profile import unwanted_rows
from serving.user_state import cold_user

ACK_TIMEOUT_S: Final = 5.0


class ItemAccepted(Struct, frozen=True, kw_only=True):
    """The catalogue topic has the change.

    Attributes:
        filled: fields that the server filled in.
    """

    item_id: str
    status: str = "accepted"
    filled: list[str] = []


class ScoredItem(Struct, frozen=True, kw_only=True):
    """An item and its place in a list."""

    item_id: str
    title: str
    categories: list[str]
    score: float


class ItemList(Struct, frozen=True, kw_only=True):
    """Items, best first.

    Attributes:
        as_of_ts_ms: newest event time that the list rests on.
        basis: what the scores are.
    """

    as_of_ts_ms: int
    model_version: str
    basis: str
    items: list[ScoredItem]


class TrendingQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked of trending; the half-lives are those that are counted.

    Attributes:
        user: leave out what this user rejected; all else is the same for everyone.
    """

    half_life_s: Annotated[int, Meta(extra_json_schema={"enum": [*TREND_HALF_LIVES_S]})] = 3_600
    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 20
    user: Identifier | None = None


class SimilarQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked of similar items.

    Attributes:
        user: leave out what this user rejected; all else is the same for everyone.
    """

    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 20
    user: Identifier | None = None


def routes(services: Services) -> list[Any]:
    """Return the routes."""
    table = services.state.items.table

    @put("/v1/items/{item_id:str}", status_code=202)
    async def put_item(request: AnyRequest) -> ItemAccepted:
        services.kafka.require_room()
        item_id = _checked(id_of(request))
        body = await read_json(request)
        filled = _fill(body, item_id, table, services.clock())
        item = converted(body, Item)
        if item.item_id != item_id:
            raise RequestError(
                f"the body names {item.item_id!r}, the path {item_id!r}", field="item_id"
            )
        try:
            value = encode_item(item)
        except EventError as error:
            raise _refused(error) from error
        await _deliver(services, item_id, value)
        return ItemAccepted(item_id=item_id, filled=filled)

    @delete("/v1/items/{item_id:str}", status_code=202)
    async def delete_item(request: AnyRequest) -> ItemAccepted:
        item_id = _checked(id_of(request))
        await _deliver(services, item_id, None)
        return ItemAccepted(item_id=item_id)

    @get("/v1/trending")
    async def get_trending(request: AnyRequest) -> ItemList:
        query = read_query(request, TrendingQuery)
        if query.half_life_s not in TREND_HALF_LIVES_S:
            words = ", ".join(map(str, TREND_HALF_LIVES_S))
            raise RequestError(f"expected one of {words}", field="half_life_s")
        level = TREND_HALF_LIVES_S.index(query.half_life_s)
        unwanted = await _unwanted(services, query.user)
        offered = table.offered[: table.size].copy()
        offered[unwanted] = False
        rows = np.flatnonzero(offered)
        rates = table.rates_at(rows, table.now_ms)[:, level]
        best = top_k(rates, query.k)
        best = best[rates[best] > 0]
        return _listed(services, rows[best], rates[best], "events per second, decayed")

    @get("/v1/items/{item_id:str}/similar")
    async def get_similar(request: AnyRequest) -> ItemList:
        item_id = _checked(id_of(request))
        query = read_query(request, SimilarQuery)
        if not table.offers(item_id):
            raise RequestError(
                f"the catalogue offers no item {item_id!r}", status=HTTPStatus.NOT_FOUND
            )
        unwanted = await _unwanted(services, query.user)
        rows, scores, basis = _similar(services, table.row(item_id), query.k, unwanted)
        return _listed(services, rows, scores, basis)

    return [put_item, delete_item, get_trending, get_similar]


def _refused(error: EventError) -> RequestError:
    """Return the error of an item that the fold would put among the dead letters."""
    if error.reason == TOO_LARGE:
        return RequestError(
            f"the item has {error.detail}; send fewer or shorter attributes",
            field="attributes",
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return RequestError(error.detail, status=HTTPStatus.UNPROCESSABLE_ENTITY)


def _checked(item_id: str) -> str:
    converted({"item_id": item_id}, Item)
    return item_id


def _fill(body: Any, item_id: str, table: ItemTable, now_ms: int) -> list[str]:
    """Fill in what the path and the catalogue say already; return what the clock had to say."""
    if not isinstance(body, dict):
        return []
    body.setdefault("item_id", item_id)
    if body.get("created_ts_ms") is not None:
        return []
    row = table.row(item_id)
    known = int(table.created_ts_ms[row]) if row >= 0 else 0
    body["created_ts_ms"] = known or now_ms
    return [] if known else ["created_ts_ms"]


async def _deliver(services: Services, item_id: str, value: bytes | None) -> None:
    record = services.record(services.topics.catalog, item_id, value)
    services.kafka.require_room()
    (why,) = await services.producer.deliver([record], ACK_TIMEOUT_S)
    if why is not None:
        raise ServiceError("kafka", f"the change of {item_id!r} was not acknowledged: {why}")


async def _unwanted(services: Services, user_id: str | None) -> Rows:
    """Return the rows of what a user rejected, as of now or, without Redis, as last read."""
    if user_id is None:
        return np.empty(0, np.int64)
    state = services.state
    try:
        user = await state.users.get(user_id)
    except ServiceError:
        user = state.users.remembered(user_id) or cold_user()
    rows = unwanted_rows(user, state.items.table, state.settings.unwanted_ttl_s)
    return rows[rows >= 0]


def _similar(
    services: Services, row: int, k: int, unwanted: Rows
) -> tuple[Rows, NDArray[np.float32], str]:
    """Return rows near to one: by vector, or without a model by what was visited next."""
    table, bound = services.state.items.table, services.state.live.current
    if bound is not None:
        bound.bind(table.ids)
    if bound is not None and bound.has_vector[row]:
        rows, scores = bound.nearest(bound.vectors[row], 2 * k + 1 + len(unwanted))
        basis = "cosine similarity"
    else:
        half_life_s = services.state.settings.covisit_half_life_s
        rows, scores = table.transitions(row, table.now_ms, half_life_s)
        basis = "share of visitors who went there next"
    shown = table.offered[rows] & (rows != row) & ~np.isin(rows, unwanted)
    return rows[shown][:k], scores[shown][:k], basis


def _listed(services: Services, rows: Rows, scores: NDArray[np.float32], basis: str) -> ItemList:
    table = services.state.items.table
    entries = [(table.entries[row], score) for row, score in zip(rows, scores, strict=True)]
    return ItemList(
        as_of_ts_ms=table.now_ms,
        model_version=services.state.live.version,
        basis=basis,
        items=[
            ScoredItem(
                item_id=entry.item_id,
                title=entry.title,
                categories=entry.categories,
                score=float(score),
            )
            for entry, score in entries
            if entry is not None
        ],
    )
