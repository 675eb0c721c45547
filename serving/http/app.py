"""The application: all routes over the services it is handed; it starts and owns nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.routes import HTTPRoute, WebSocketRoute

from serving.http import events, feed, health, items, page, recommendations, users
from serving.http.bodies import MAX_BODY_BYTES
from serving.http.door import Door
from serving.http.openapi import document
from serving.http.paths import Routes
from serving.http.problems import HANDLERS
from serving.http.request_metrics import start_at_zero
from serving.http.services import Services


def create_app(services: Services) -> Litestar:
    """Return the application."""
    described = msgspec.json.encode(document())

    @get("/openapi.json")
    async def openapi() -> Response[bytes]:
        return Response(described, media_type="application/json")

    app = Litestar(
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
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )
    routes = routes_of(app)
    start_at_zero(routes.all)
    app.asgi_handler = Door(app.asgi_handler, routes, services.state.settings)
    return app


def routes_of(app: Litestar) -> Routes:
    """Return the routes of an application."""
    described: list[tuple[str, Any, bool]] = []
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            described.append((route.path, route.methods, False))
        elif isinstance(route, WebSocketRoute):
            described.append((route.path, {"GET"}, True))
    return Routes(described)
