"""`/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from freshet.core.errors import ServiceError
from serving.http.services import Services


class Health(Struct, frozen=True, kw_only=True):
    """What this process knows.

    Attributes:
        missing: services that do not answer; what can be done without them is done.
        degraded: `state_behind` while events wait that no worker applies; lists say so too.
    """

    status: str
    items: int
    model_version: str
    missing: list[str] = []
    degraded: list[str] = []


def routes(services: Services) -> list[Any]:
    """Return the routes."""
    state = services.state

    def health() -> Health:
        offered = int(state.items.table.offered.sum())
        away = {"kafka": services.kafka.away, "redis": not state.items.following}
        missing = [name for name, is_away in away.items() if is_away]
        return Health(
            status="ok",
            items=offered,
            model_version=state.live.version,
            missing=missing,
            degraded=["state_behind"] if state.is_behind() else [],
        )

    @get("/livez")
    async def livez() -> Health:
        return health()

    @get("/readyz")
    async def readyz() -> Health:
        """Answer 200 once the item state follows its changes, and a bundle was looked for.

        Kafka or all workers may be away: lists are answered without them, and the body says so.
        """
        if not state.items.following:
            also = "; kafka: does not answer" if services.kafka.away else ""
            raise ServiceError("redis", f"the item state is not loaded, or not following{also}")
        if not state.live.looked:
            raise ServiceError("models", "the registry has not been looked into yet")
        return health()

    @get("/metrics")
    async def metrics() -> Response[bytes]:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return [livez, readyz, metrics]
