"""The feed page at `/` and its files under `/static`: no build step, nothing from elsewhere.

All its addresses are relative, so that it also works behind a proxy that shows it under a path.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from litestar import Response, get

from freshet.core.errors import RequestError
from serving.http.caller import id_of
from serving.http.problems import AnyRequest

WEB: Final = Path(__file__).parents[1] / "web"
INDEX: Final = "index.html"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; "
    "frame-ancestors 'self'",  # no foreign page may lay itself over the buttons
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def routes() -> list[Any]:
    """Return the routes."""
    files = {file.name: file.read_bytes() for file in WEB.iterdir() if file.suffix in _MEDIA_TYPES}

    @get("/")
    async def index(request: AnyRequest) -> Response[bytes]:
        return _file(request, INDEX, files[INDEX])

    @get("/static/{name:str}")
    async def static(request: AnyRequest) -> Response[bytes]:
        name = id_of(request)
        if name not in files:
            raise RequestError("the page has no such file", status=HTTPStatus.NOT_FOUND)
        return _file(request, name, files[name])

    return [index, static]


def _file(request: AnyRequest, name: str, content: bytes) -> Response[bytes]:
    tag = f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}"'
    headers = {**_HEADERS, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, media_type=_MEDIA_TYPES[Path(name).suffix], headers=headers)
