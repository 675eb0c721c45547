"""The application: all routes over the services it is handed; it starts and owns nothing."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, get

from serving.http import events, feed, health, items, page, recommendations, users
from serving.http.bodies import MAX_BODY_BYTES
from serving.http.openapi import document
from serving.http.problems import HANDLERS
from serving.http.request_metrics import measure_requests
from serving.http.services import Services


def create_app(services: Services) -> Litestar:
    """Return the application."""
    described = document()

    @get("/openapi.json")
    async def openapi() -> dict[str, Any]:
        return described

    return Litestar(
        [
            *recommendations.routes(services),
            *events.routes(services),
            *items.routes(services),
            *users.routes(services),
            *feed.routes(services),
            *health.routes(services),
            *page.routes(),
            openapi,
        ],
        exception_handlers=HANDLERS,
        middleware=[measure_requests],
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )
