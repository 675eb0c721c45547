"""The feed page at `/` and its files under `/static`: no build step, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from litestar import Response, get
from litestar.static_files import create_static_files_router

WEB: Final = Path(__file__).parents[1] / "web"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes() -> list[Any]:
    """Return the routes."""
    page = (WEB / "index.html").read_bytes()

    @get("/")
    async def index() -> Response[bytes]:
        return Response(page, media_type="text/html; charset=utf-8", headers=_HEADERS)

    static = create_static_files_router("/static", [WEB], send_as_attachment=False)
    return [index, static]
