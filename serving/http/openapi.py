"""The OpenAPI 3.1 document, written from the wire types themselves.

The framework could make one from the handlers, but it would describe its own errors, not ours, and
not know what the bodies hold; a test compares the routes of the application with this table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from freshet import __version__
from freshet.core.events.schema import Event, Identifier, Item
from serving.answer import AddressQuery, Answer, Query, RankQuery
from serving.http.bodies import MAX_BODY_BYTES
from serving.http.events import MAX_EVENTS, EventResults
from serving.http.feed import FeedMessage, FeedQuery
from serving.http.health import Health
from serving.http.items import ItemAccepted, ItemList, SimilarQuery, TrendingQuery
from serving.http.problems import MEDIA_TYPE, Problem
from serving.http.users import ErasureQuery, ErasureReceipt, ErasureStatus

_COMPONENTS: Final = (
    AddressQuery, Query, RankQuery, Answer, Event, EventResults, Item, ItemAccepted, ItemList,
    TrendingQuery, SimilarQuery, ErasureReceipt, ErasureQuery, ErasureStatus, FeedQuery,
    FeedMessage, Health, Problem,
)  # fmt: skip


_TEXT: Final = {"type": "string"}
_IDENTIFIER: Final = msgspec.json.schema(Identifier)
_PATH_SCHEMAS: Final = {"item_id": _IDENTIFIER, "user_id": _IDENTIFIER}
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Operation:
    """One route and method, as documented."""

    path: str
    method: str
    summary: str
    status: int = 200
    answer: type | None = None
    body: type | None = None
    query: type | None = None
    problems: tuple[int, ...] = ()
    pending: bool = False  # 202 with the same answer, while it is not done
    media_types: tuple[str, ...] = ("application/json",)


_WRITE: Final = (403,)
_BODY: Final = (403, 408, 413, 415)

OPERATIONS: Final = (
    Operation(
        "/v1/recommendations", "get", "A personalised list", answer=Answer, query=AddressQuery,
        problems=(400, 422, 503),
    ),
    Operation(
        "/v1/recommendations", "post", "A personalised list, asked for with a body",
        answer=Answer, body=Query, problems=(400, *_BODY, 422, 503),
    ),
    Operation(
        "/v1/rank", "post", "Your own candidates in the order for a user", answer=Answer,
        body=RankQuery, problems=(400, *_BODY, 422, 503),
    ),
    Operation(
        "/v1/events", "post", f"Up to {MAX_EVENTS} events; 202 once Kafka has them", status=202,
        answer=EventResults, body=Event, problems=(400, *_BODY, 503),
    ),
    Operation(
        "/v1/items/{item_id}", "put", "Put an item into the catalogue", status=202,
        answer=ItemAccepted, body=Item, problems=(400, 404, *_BODY, 422, 503),
    ),
    Operation(
        "/v1/items/{item_id}", "delete", "Withdraw an item", status=202, answer=ItemAccepted,
        problems=(400, 404, *_WRITE, 503),
    ),
    Operation(
        "/v1/items/{item_id}/similar", "get", "Items like this one", answer=ItemList,
        query=SimilarQuery, problems=(400, 404),
    ),
    Operation(
        "/v1/trending", "get", "What rises now", answer=ItemList, query=TrendingQuery,
        problems=(400,),
    ),
    Operation(
        "/v1/users/{user_id}", "delete", "Erase a person; 202 once Kafka has it", status=202,
        answer=ErasureReceipt, problems=(400, 404, *_WRITE, 503),
    ),
    Operation(
        "/v1/erasures/{user_hash}", "get", "Whether a person is erased; 202 while not yet",
        answer=ErasureStatus, query=ErasureQuery, problems=(400, 404, 503), pending=True,
    ),
    Operation(
        "/v1/feed", "get", "WebSocket: send a FeedQuery, receive FeedMessages", status=101,
        problems=(403, 426),
    ),
    Operation("/livez", "get", "The process answers", answer=Health),
    Operation("/readyz", "get", "The item state is loaded", answer=Health, problems=(503,)),
    Operation("/metrics", "get", "Prometheus metrics", media_types=("text/plain",)),
    Operation("/", "get", "The feed page", media_types=("text/html",)),
    Operation("/openapi.json", "get", "This document"),
)  # fmt: skip

_DESCRIPTION: Final = f"""HEAD is taken wherever GET is, and OPTIONS everywhere. Ids in an address
are percent-encoded, a slash as %2F. A body is JSON in UTF-8 of at most {MAX_BODY_BYTES} bytes, also
when it comes as gzip or deflate. Any request may further be answered with 405, 414, 421, 431 or
500; every error is problem+json."""


def document() -> dict[str, Any]:
    """Return the OpenAPI document as JSON values."""
    _, components = msgspec.json.schema_components(
        _COMPONENTS, ref_template="#/components/schemas/{name}"
    )
    # Over HTTP the server fills these in.
    for name, filled in (("Event", {"event_id", "ts_ms"}), ("Item", {"item_id"})):
        required = components[name]["required"]
        components[name]["required"] = [each for each in required if each not in filled]
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Freshet",
            "version": __version__,
            "summary": "A real-time streaming recommender.",
            "description": _DESCRIPTION,
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _described(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _operation_id(operation),
        "responses": {str(operation.status): _answer(operation)},
    }
    if operation.pending:
        described["responses"]["202"] = _answer(operation)
    for status in operation.problems:
        described["responses"][str(status)] = {
            "description": "See `detail` and `errors`",
            "content": {MEDIA_TYPE: {"schema": _ref(Problem)}},
        }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, _TEXT)}
        for name in _PATH_PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        parameters += _parameters(components[operation.query.__name__])
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content = {"application/json": {"schema": _body(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _operation_id(operation: Operation) -> str:
    path = _PATH_PARAMETER.sub(lambda found: found[1].partition("_")[0], operation.path)
    words = path.strip("/").replace(".", "/").split("/")
    return "_".join([operation.method, *(word for word in words if word and word != "v1")])


def _answer(operation: Operation) -> dict[str, Any]:
    schema = _ref(operation.answer) if operation.answer else {}
    described: dict[str, Any] = {"description": operation.summary}
    if operation.status != 101:
        described["content"] = {name: {"schema": schema} for name in operation.media_types}
    return described


def _body(kind: type) -> dict[str, Any]:
    if kind is not Event:
        return _ref(kind)
    many = {"type": "array", "items": _ref(Event), "minItems": 1, "maxItems": MAX_EVENTS}
    wrapped = {"type": "object", "properties": {"events": many}, "required": ["events"]}
    return {"oneOf": [_ref(Event), many, wrapped]}


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": described}
        for name, described in schema["properties"].items()
    ]


def _ref(kind: type) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
