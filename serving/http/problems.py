"""Errors as problem+json (RFC 9457), the only form in which this server reports one.

| status | when |
|--------|------|
| 400 | the request is malformed; `errors` points at each field |
| 404 | there is no such route, no such item, or no such erasure |
| 405 | the route does not take the method |
| 413 | the body is larger than `MAX_BODY_BYTES` |
| 415 | the body is not JSON |
| 422 | the request is well formed and nothing can satisfy it |
| 500 | a bug of ours; the log has the trace |
| 503 | a service is away, or the catalogue is empty; `Retry-After` says when to try again |
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import Struct

from freshet.core.errors import RequestError, ServiceError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1

_PATH = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.(?P<name>[^.\[]+)")
_NAMED = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]+)`")

log = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]


class FieldError(Struct, frozen=True):
    """What is wrong with one field: a JSON pointer (RFC 6901), "" for the whole body."""

    pointer: str
    detail: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    instance: str = ""
    errors: list[FieldError] = []


def field_error(message: str) -> FieldError:
    """Return where a validation message of msgspec points at.

    >>> field_error("Invalid enum value 'x' - at `$[2].type`")
    FieldError(pointer='/2/type', detail="Invalid enum value 'x'")
    >>> field_error("Object missing required field `user`").pointer
    '/user'
    """
    path = _PATH.search(message)
    steps = _STEP.finditer(path["path"]) if path else ()
    pointer = "".join(f"/{_escape(step['index'] or step['name'])}" for step in steps)
    named = _NAMED.search(message)
    if named:
        pointer += f"/{_escape(named['name'])}"
    return FieldError(pointer, _PATH.sub("", message))


def problem(
    request: AnyRequest,
    status: int,
    detail: str,
    *,
    errors: list[FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """Return an error as problem+json."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=errors or [],
    )
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(RETRY_AFTER_S), **(headers or {})}
    return Response(
        msgspec.json.encode(body), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def on_request_error(request: AnyRequest, error: RequestError) -> Response[bytes]:
    """Answer what the caller did wrong."""
    errors = [FieldError(f"/{error.field}", error.detail)] if error.field else []
    return problem(request, error.status, error.detail, errors=errors)


def on_service_error(request: AnyRequest, error: ServiceError) -> Response[bytes]:
    """Answer that a service is away."""
    return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))


def on_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses: no such route, wrong method, too large a body."""
    return problem(request, error.status_code, error.detail, headers=dict(error.headers or {}))


def on_bug(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer an error that nobody expected; the log has the trace."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "a bug of this server; its log has the trace"
    )


HANDLERS: Final[dict[int | type[Exception], Any]] = {
    RequestError: on_request_error,
    ServiceError: on_service_error,
    HTTPException: on_http_error,
    Exception: on_bug,
}


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
