"""`/v1/events`: facts into Kafka. 202 means that the brokers have them, one result for each."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
from litestar import Response, post
from msgspec import Struct

from freshet.core.errors import EventError, RequestError
from freshet.core.events.codec import decode_event, encode
from freshet.core.events.producer import Record
from freshet.core.events.schema import MAX_EVENT_BYTES, MAX_FUTURE_MS, Event
from freshet.core.metrics import EVENTS_ACCEPTED
from serving.http.bodies import not_json, read_raw
from serving.http.json_values import JsonError, read_value, split_list
from serving.http.problems import AnyRequest, FieldError, field_error, problem
from serving.http.services import Services

MAX_EVENTS: Final = 500
EVENTS_A_TURN: Final = 50
ACK_TIMEOUT_S: Final = 5.0


class EventResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event.

    Attributes:
        filled: fields that the server filled in because the event had none.
        pointer: JSON pointer into the request's body, for a rejected event.
    """

    index: int
    status: Literal["accepted", "rejected"]
    event_id: str | None = None
    filled: list[str] = []
    error: str = ""
    pointer: str = ""


class EventResults(Struct, frozen=True, kw_only=True):
    """What became of a request's events."""

    accepted: int
    rejected: int
    results: list[EventResult]


def routes(services: Services) -> list[Any]:
    """Return the routes."""

    @post("/v1/events", status_code=202)
    async def post_events(request: AnyRequest) -> Response[Any]:
        """Take one event, a list of events, or `{"events": [...]}`."""
        services.kafka.require_room()  # before anything is read: a refusal must cost nothing
        results, records = await _read_all(services, *_listed(await read_raw(request)))
        _count("rejected", len(results) - len(records))
        if not records:
            errors = [FieldError(result.pointer, result.error) for result in results]
            return problem(request, HTTPStatus.BAD_REQUEST, "no event is valid", errors=errors)
        undelivered = await _deliver(services, records)
        if undelivered:
            detail = f"Kafka did not acknowledge {len(undelivered)} of {len(records)} events"
            detail += f": {undelivered[0]}; send them again with the same event_id"
            return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, detail)
        answer = EventResults(
            accepted=len(records), rejected=len(results) - len(records), results=results
        )
        return Response(answer, status_code=HTTPStatus.ACCEPTED)

    return [post_events]


def _listed(body: bytes) -> tuple[list[Any], str]:
    """Return the events in a body, and the pointer to their list; "-" for a single event.

    In the place of an event that is no JSON stands its `JsonError`.

    Raises:
        RequestError: the body holds no events, or cannot be split into events.
    """
    try:
        found, prefix = _events(read_value(body))
    except JsonError as error:
        found, prefix = _sound_of(body, error)
    if not 0 < len(found) <= MAX_EVENTS:
        raise RequestError(
            f"{len(found)} events, expected 1 to {MAX_EVENTS}", field=prefix.removeprefix("/")
        )
    return found, prefix


def _events(body: Any) -> tuple[list[Any], str]:
    """Return the events in a decoded body, see `_listed`."""
    prefix = ""
    if isinstance(body, dict) and "events" in body:
        body, prefix = body["events"], "/events"
    elif isinstance(body, dict):
        return [body], "-"
    if not isinstance(body, list):
        raise RequestError(
            "expected an event, a list of events, or an object with `events`",
            field=prefix.removeprefix("/"),
        )
    return body, prefix


def _sound_of(body: bytes, error: JsonError) -> tuple[list[Any], str]:
    """Return the events of a body that is no JSON as a whole, see `_listed`."""
    try:
        split = split_list(body, "events")
    except JsonError as unsplit:
        raise not_json(unsplit) from unsplit
    if split is None:
        raise not_json(error) from error
    return [_value_or_error(each) for each in split.elements[: MAX_EVENTS + 1]], split.pointer


def _value_or_error(raw: bytes) -> Any:
    try:
        return read_value(raw)
    except JsonError as error:
        return error


async def _read_all(
    services: Services, raws: list[Any], prefix: str
) -> tuple[list[EventResult], list[Record]]:
    """Return what becomes of each event, and records of those that are valid.

    Only these are kept while Kafka is waited for. Other requests get their turn in between: 500
    events take some 10 ms.
    """
    results: list[EventResult] = []
    records: list[Record] = []
    for index, raw in enumerate(raws):
        record, result = _read(services, raw, index, prefix)
        results.append(result)
        if record is not None:
            records.append(record)
        if index % EVENTS_A_TURN == EVENTS_A_TURN - 1:
            await asyncio.sleep(0)
    return results, records


def _read(
    services: Services, raw: Any, index: int, prefix: str
) -> tuple[Record | None, EventResult]:
    """Return the record of an event, None when it is not valid, and what becomes of it."""
    place = "" if prefix == "-" else f"{prefix}/{index}"
    if isinstance(raw, JsonError):
        return None, _rejected(index, None, place + raw.pointer, raw.detail)
    now_ms = services.clock()
    filled: dict[str, Any] = {}
    if isinstance(raw, dict):
        absent = {"event_id": services.new_id, "ts_ms": services.clock}
        filled = {name: make() for name, make in absent.items() if raw.get(name) is None}
        raw = {**raw, **filled}
    event_id = raw.get("event_id") if isinstance(raw, dict) else None
    named = event_id if isinstance(event_id, str) else None
    try:
        event = msgspec.convert(raw, Event)
    except msgspec.ValidationError as error:
        found = field_error(str(error))
        return None, _rejected(index, named, place + found.pointer, found.detail)
    if event.ts_ms > now_ms + MAX_FUTURE_MS:
        ahead_s = (event.ts_ms - now_ms) / 1000
        why = f"{ahead_s:.0f} s ahead of this server, expected at most {MAX_FUTURE_MS / 1000:.0f}"
        return None, _rejected(index, named, f"{place}/ts_ms", why)
    value = encode(event)
    try:
        if event.context is not None or len(value) > MAX_EVENT_BYTES:
            decode_event(value, now_ms)  # as the fold will, which has the same limits
    except EventError as error:
        return None, _rejected(index, named, place, error.detail)
    result = EventResult(index=index, status="accepted", event_id=named, filled=list(filled))
    return services.record(services.topics.events, event.user_id, value), result


def _rejected(index: int, event_id: str | None, pointer: str, error: str) -> EventResult:
    return EventResult(
        index=index, status="rejected", event_id=event_id, pointer=pointer, error=error
    )


async def _deliver(services: Services, records: list[Record]) -> list[str]:
    """Return why events were not acknowledged, one sentence for each that was not."""
    services.kafka.require_room()  # others may have filled it meanwhile
    answers = await services.producer.deliver(records, ACK_TIMEOUT_S)
    undelivered = [why for why in answers if why is not None]
    _count("accepted", len(records) - len(undelivered))
    _count("undelivered", len(undelivered))
    return undelivered


def _count(result: str, number: int) -> None:
    if number:
        EVENTS_ACCEPTED.labels(result).inc(number)
