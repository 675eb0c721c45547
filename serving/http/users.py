"""`/v1/users` and `/v1/erasures`: forgetting a person, and the proof of it.

202 means that Kafka has the erasure, in order between the person's events. The receipt names the
place; once the fold has come past it, the person's record is gone.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

from litestar import Response, delete, get
from msgspec import Meta, Struct

from freshet.core.errors import RequestError
from freshet.core.events.control import Erasure, encode_control, forgotten_until_ms, user_hash
from freshet.core.events.schema import EARLIEST_TS_MS, Identifier
from serving.http.bodies import converted, read_query
from serving.http.caller import id_of
from serving.http.origins import forwarded_prefix
from serving.http.problems import AnyRequest
from serving.http.services import Services
from serving.remains import Remains

ACK_TIMEOUT_S: Final = 5.0


class _Person(Struct, frozen=True):
    user_id: Identifier


class ErasureReceipt(Struct, frozen=True, kw_only=True):
    """Where an erasure stands in the log.

    Attributes:
        user_hash: stands for the person wherever the erasure is remembered.
        ts_ms: events of the person up to then stay forgotten; by the clock of the log where ours is
            ahead of it.
        remains: what still names the person once it is done, and until when.
        check: path that tells whether it is done, below the prefix that a proxy names.
    """

    erasure_id: str
    user_hash: str
    topic: str
    partition: int
    offset: int
    ts_ms: int
    check: str
    remains: list[Remains]


class ErasureQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which erasure is asked for, as its receipt says."""

    partition: Annotated[int, Meta(ge=0, le=255)]
    offset: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    ts_ms: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class ErasureStatus(Struct, frozen=True, kw_only=True):
    """Whether a person is erased.

    Attributes:
        position: next offset that the fold of the partition will apply.
        erased_ts_ms: events of the person up to then stay forgotten, absent until it is done.
    """

    erased: bool
    user_hash: str
    partition: int
    offset: int
    position: int
    erased_ts_ms: int | None = None


def routes(services: Services) -> list[Any]:
    """Return the routes."""

    @delete("/v1/users/{user_id:str}", status_code=202)
    async def delete_user(request: AnyRequest) -> ErasureReceipt:
        user_id = id_of(request)
        converted({"user_id": user_id}, _Person)
        services.kafka.require_room()
        erasure = Erasure(erase=user_id, ts_ms=services.clock(), erasure_id=services.new_id())
        record = services.record(services.topics.events, user_id, encode_control(erasure))
        placed = await services.producer.place(record, ACK_TIMEOUT_S)
        # As the fold will reckon it: a proof must not depend on our clock. The broker of the demo
        # does not say when it took a record; it shares our clock.
        says = placed.append_ts_ms >= EARLIEST_TS_MS
        ts_ms = forgotten_until_ms(erasure, placed.append_ts_ms) if says else erasure.ts_ms
        name, partition = user_hash(user_id), record.partition
        where = f"partition={partition}&offset={placed.offset}&ts_ms={ts_ms}"
        return ErasureReceipt(
            erasure_id=erasure.erasure_id,
            user_hash=name,
            topic=record.topic,
            partition=partition,
            offset=placed.offset,
            ts_ms=ts_ms,
            check=f"{forwarded_prefix(request.headers)}/v1/erasures/{name}?{where}",
            remains=await services.retention.remains(ts_ms),
        )

    @get("/v1/erasures/{user_hash:str}")
    async def get_erasure(request: AnyRequest) -> Response[ErasureStatus]:
        """Answer 200 when it is done, 202 while the fold is on its way to it."""
        user_hash = id_of(request)
        query = read_query(request, ErasureQuery)
        if query.partition >= services.partitions:
            raise RequestError(
                f"expected less than {services.partitions}, the number of partitions",
                field="partition",
            )
        found = await services.erasures.get(query.partition, user_hash)
        passed = found.position > query.offset
        erased = found.erased_ts_ms is not None and found.erased_ts_ms >= query.ts_ms
        if passed and not erased:
            raise RequestError(
                f"no erasure of {user_hash} at offset {query.offset} of partition "
                f"{query.partition}; is this what the receipt says?",
                status=HTTPStatus.NOT_FOUND,
            )
        answer = ErasureStatus(
            erased=passed,
            user_hash=user_hash,
            partition=query.partition,
            offset=query.offset,
            position=found.position,
            erased_ts_ms=found.erased_ts_ms if passed else None,
        )
        return Response(answer, status_code=HTTPStatus.OK if passed else HTTPStatus.ACCEPTED)

    return [delete_user, get_erasure]
