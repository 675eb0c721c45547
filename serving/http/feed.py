"""`WS /v1/feed`: a list that is pushed again whenever the user's state changed.

The client speaks once, a JSON object `FeedQuery`; then it only listens. Every message of the
server is a `FeedMessage`: a `snapshot` first, an `update` after each change. Updates are conflated:
while one is being sent, any number of changes become one newer list.

| close code | why |
|------------|-----|
| 1003 | the message was not text |
| 1008 | the first message is not a `FeedQuery`, or there was a second one, or none in time |
| 1009 | the message was too large |
| 1011 | a bug of ours |
| 1012 | this server is stopping |
| 1013 | no list can be made now; try again later |
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import Meta, Struct

from freshet.core.errors import RequestError, ServiceError
from freshet.core.events.schema import Identifier
from freshet.core.metrics import FEED_CONNECTIONS, FEED_PUSHES
from freshet.core.state.records import interactions
from serving.answer import MAX_K, Answer, Query
from serving.http.json_values import UNREADABLE
from serving.http.recommendations import answer
from serving.http.services import Services

MAX_MESSAGE_BYTES: Final = 16_384
FIRST_MESSAGE_S: Final = 10.0

log = logging.getLogger(__name__)

_ENCODER = msgspec.json.Encoder()
AnySocket = WebSocket[Any, Any, Any]


class FeedQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a feed shows. The client reports impressions: a pushed list may never be seen."""

    user: Identifier
    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 20
    exclude: Annotated[list[Identifier], Meta(max_length=1000)] = []
    categories: Annotated[list[str], Meta(max_length=32)] = []


class FeedMessage(Struct, frozen=True, kw_only=True):
    """What the server sends.

    Attributes:
        seq: counts the messages of a socket from 0.
    """

    type: Literal["snapshot", "update"]
    seq: int
    answer: Answer


class _RefusedError(Exception):
    """The socket is to be closed with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        # A close frame has room for 123 bytes.
        self.reason = reason.encode("utf-8", "replace")[:120].decode("utf-8", "ignore")


def routes(services: Services) -> list[Any]:
    """Return the routes."""

    @websocket("/v1/feed")
    async def feed(socket: AnySocket) -> None:
        await socket.accept()
        with FEED_CONNECTIONS.track_inprogress():
            try:
                await _serve(services, socket, await _first_message(socket))
            except _RefusedError as refused:
                with suppress(OSError):  # the client left first
                    await socket.close(refused.code, refused.reason)
            except WebSocketDisconnect as gone:
                log.debug("a feed's client left: %s", gone)

    return [feed]


async def _first_message(socket: AnySocket) -> FeedQuery:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            raw = await socket.receive_data(mode="text")
    except TimeoutError as error:
        raise _RefusedError(1008, f"no message within {FIRST_MESSAGE_S:g} s") from error
    except (KeyError, TypeError) as error:
        raise _RefusedError(1003, "expected a text message") from error
    if len(raw) > MAX_MESSAGE_BYTES:
        raise _RefusedError(1009, f"{len(raw)} characters, expected at most {MAX_MESSAGE_BYTES}")
    try:
        return msgspec.json.decode(raw, type=FeedQuery)
    except UNREADABLE as error:
        raise _RefusedError(1008, str(error)) from error


async def _serve(services: Services, socket: AnySocket, asked: FeedQuery) -> None:
    """Push lists until the client leaves; the one task that writes to the socket is this one."""
    query = Query(**msgspec.structs.asdict(asked), impressions="client")
    with services.state.notices.subscribe(asked.user) as changed:
        changed.set()
        listener = asyncio.create_task(_until_left(socket))
        try:
            await _push(services, socket, query, changed, listener)
        finally:
            listener.cancel()


async def _push(
    services: Services,
    socket: AnySocket,
    query: Query,
    changed: asyncio.Event,
    listener: asyncio.Task[None],
) -> None:
    seq, shown = 0, -1
    while await _woken(changed, listener):
        changed.clear()
        interactions = await _interactions(services, query.user)
        if interactions == shown:
            continue  # only impressions were counted: a push for them would make more of them
        try:
            served = await answer(services, query)
        except (RequestError, ServiceError) as error:
            raise _RefusedError(1013, str(error)) from error
        kind: Literal["snapshot", "update"] = "update" if seq else "snapshot"
        message = FeedMessage(type=kind, seq=seq, answer=served.answer)
        try:
            await socket.send_text(_ENCODER.encode(message).decode())
        except OSError as error:  # that is how the server reports a client that left
            raise WebSocketDisconnect(detail=f"while a list was sent: {error}") from error
        FEED_PUSHES.labels(kind).inc()
        seq, shown = seq + 1, interactions
    listener.result()


async def _woken(changed: asyncio.Event, listener: asyncio.Task[None]) -> bool:
    """Wait for a change of the user, True, or for the end of the socket, False."""
    waiting = asyncio.create_task(changed.wait())
    await asyncio.wait({waiting, listener}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return not listener.done()


async def _interactions(services: Services, user_id: str) -> int:
    """Return how many interactions of the user were applied, 0 when that cannot be read."""
    try:
        user = await services.state.users.get(user_id)
    except ServiceError:
        return 0
    return int(interactions(user.record))


async def _until_left(socket: AnySocket) -> None:
    """Wait for the client to leave; anything it says is against the protocol."""
    await socket.receive_data(mode="text")
    raise _RefusedError(1008, "a feed takes one message; open another socket for another user")
