"""Reading requests: one type for query string and body, with pointers to what is wrong."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from freshet.core.errors import RequestError
from serving.http.caller import is_page
from serving.http.compression import ENCODINGS, CorruptError, TooLargeError, inflate
from serving.http.json_values import JsonError, escape, read_value
from serving.http.problems import CLIENT_GONE, AnyRequest, field_error

MAX_BODY_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 1_100  # of a query: what a full `exclude` and `categories` take

_CHARSET = re.compile(r'charset\s*=\s*"?(?P<name>[^";\s]+)')

T = TypeVar("T", bound=msgspec.Struct)


async def read_raw(request: AnyRequest) -> bytes:
    """Return the body of a request that says that it is JSON, unpacked.

    Text is taken for JSON where a page may send it: `navigator.sendBeacon` sends nothing else
    without asking first, and the origin of the page was seen.

    Raises:
        RequestError: it is no JSON by its own word, too large, cut off, or packed in an unknown
            way.
    """
    _require_json(request)
    packed = await _received(request)
    names = ",".join(request.headers.getall("content-encoding", [])).lower().split(",")
    encodings = [name.strip().removeprefix("x-") for name in names]
    encodings = [name for name in encodings if name not in ("", "identity")]
    if not encodings:
        return packed
    if len(encodings) > 1 or encodings[0] not in ENCODINGS:
        raise RequestError(
            f"the body is packed as {', '.join(encodings)}, expected {' or '.join(ENCODINGS)}",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    try:
        return inflate(packed, encodings[0], MAX_BODY_BYTES)
    except TooLargeError as error:
        raise _too_large("unpacked, the body has more") from error
    except CorruptError as error:
        raise RequestError(f"the body is no sound {encodings[0]}: {error}") from error


def _require_json(request: AnyRequest) -> None:
    """Refuse a body that is no JSON by its own word; one without a word may be a foreign page's.

    Raises:
        RequestError: 415.
    """
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    media_type = media_type.strip()
    taken = ("application/json", "text/plain") if is_page(request) else ("application/json",)
    charset = _CHARSET.search(parameters)
    if media_type in taken and (charset is None or charset["name"] in ("utf-8", "utf8")):
        return
    found = "has no content-type" if not media_type else f"is {media_type}"
    if charset is not None and media_type in taken:
        found = f"is in {charset['name']}"
    raise RequestError(
        f"the body {found}, expected application/json in UTF-8",
        status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    )


async def _received(request: AnyRequest) -> bytes:
    """Return the body as it was sent.

    Raises:
        RequestError: it is too large, or the client left.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        raise _too_large(f"the body has {announced}")
    parts, size = [], 0
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            detail = f"the client left after {size} bytes of the body"
            raise RequestError(detail, status=CLIENT_GONE)
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large("the body has more")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(found: str) -> RequestError:
    detail = f"{found} bytes, expected at most {MAX_BODY_BYTES}; send it in parts"
    return RequestError(detail, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


async def read_json(request: AnyRequest) -> Any:
    """Return the body as plain JSON values.

    Raises:
        RequestError: it is not JSON.
    """
    try:
        return read_value(await read_raw(request))
    except JsonError as error:
        raise not_json(error) from error


def not_json(error: JsonError) -> RequestError:
    """Return the error of a body that is no JSON."""
    detail = error.detail if error.pointer else f"the body is not JSON: {error.detail}"
    return RequestError(detail, field=error.pointer.removeprefix("/"))


async def read_body(request: AnyRequest, kind: type[T]) -> T:
    """Return the body as a value of one type.

    Raises:
        RequestError: it is not JSON, or of another shape.
    """
    return converted(await read_json(request), kind)


def read_query(request: AnyRequest, kind: type[T]) -> T:
    """Return the query string as a value of one type; a list repeats its name.

    Raises:
        RequestError: a parameter is wrong, missing, unknown, or there twice.
    """
    lists = _list_fields(kind)
    found: dict[str, Any] = {}
    for name, value in _parameters(request):
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise RequestError("expected once, found twice", field=escape(name))
        else:
            found[name] = value
    return converted(found, kind, strict=False)


def _parameters(request: AnyRequest) -> list[tuple[str, str]]:
    raw: bytes = request.scope["query_string"]
    try:
        return parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except UnicodeDecodeError as error:
        raise RequestError("the query is not percent-encoded UTF-8") from error
    except ValueError as error:
        raise RequestError(f"more than {MAX_FIELDS} parameters; send a JSON body") from error


@cache
def _list_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of the fields that hold lists; kept, as msgspec reads the hints anew."""
    return frozenset(
        field.name for field in msgspec.structs.fields(kind) if field.default_factory is list
    )


def converted(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Return JSON values as a value of one type.

    Raises:
        RequestError: naming the field.
    """
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        found = field_error(str(error))
        raise RequestError(found.detail, field=found.pointer.removeprefix("/")) from error
