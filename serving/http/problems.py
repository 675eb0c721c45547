"""Errors as problem+json (RFC 9457), the only form in which this server reports one.

| status | when |
|--------|------|
| 400 | the request is malformed; `errors` points at each field |
| 403 | a page of a foreign origin may not do that |
| 404 | there is no such route, no such item, or no such erasure |
| 405 | the route does not take the method; `Allow` names those that it takes |
| 408 | the request did not arrive in time |
| 413 | the body, unpacked, is larger than `MAX_BODY_BYTES` |
| 414, 431 | the address or the headers are too long |
| 415 | the body says that it is no JSON, or is packed in an unknown way |
| 421 | `Host` names none of the hosts that are allowed |
| 422 | the request is well formed and nothing can satisfy it |
| 426 | the route is a WebSocket |
| 499 | the client left before its request was whole; nobody sees this answer, metrics count it |
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
from serving.http.compression import ENCODINGS
from serving.http.json_values import escape
from serving.http.paths import raw_path_of

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
CLIENT_GONE: Final = 499  # as nginx writes it into its logs

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
    pointer = "".join(f"/{escape(step['index'] or step['name'])}" for step in steps)
    named = _NAMED.search(message)
    if named:
        pointer += f"/{escape(named['name'])}"
    return FieldError(pointer, _PATH.sub("", message))


def problem_body(
    path: str, status: int, detail: str, errors: list[FieldError] | None = None
) -> bytes:
    """Return the body of an error.

    Args:
        path: of the request, as it was sent.
        status: of the answer.
        detail: what is wrong.
        errors: what is wrong with each field.
    """
    title = "Client Closed Request" if status == CLIENT_GONE else HTTPStatus(status).phrase
    body = Problem(title=title, status=status, detail=detail, instance=path, errors=errors or [])
    return msgspec.json.encode(body)


def problem_headers(status: int) -> dict[str, str]:
    """Return the headers that an error brings along."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_S)}
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        return {"Accept": "application/json", "Accept-Encoding": ", ".join(ENCODINGS)}
    return {}


def problem(
    request: AnyRequest,
    status: int,
    detail: str,
    *,
    errors: list[FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """Return an error as problem+json."""
    body = problem_body(raw_path_of(request.scope), status, detail, errors)
    headers = problem_headers(status) | (headers or {})
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def on_request_error(request: AnyRequest, error: RequestError) -> Response[bytes]:
    """Answer what the caller did wrong."""
    if error.status == CLIENT_GONE:
        log.debug("%s %s: %s", request.method, raw_path_of(request.scope), error.detail)
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
