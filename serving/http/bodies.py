"""Reading requests: one type for query string and body, with pointers to what is wrong."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from freshet.core.errors import RequestError
from serving.http.problems import AnyRequest, field_error

MAX_BODY_BYTES: Final = 256 * 1024

T = TypeVar("T", bound=msgspec.Struct)


async def read_json(request: AnyRequest) -> Any:
    """Return the body as plain JSON values.

    Raises:
        RequestError: it is not JSON.
    """
    media_type = request.headers.get("content-type", "application/json").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise RequestError(
            f"the body is {media_type}, expected application/json",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    body = await request.body()
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error


async def read_body(request: AnyRequest, kind: type[T]) -> T:
    """Return the body as a value of one type.

    Raises:
        RequestError: it is not JSON, or of another shape.
    """
    return converted(await read_json(request), kind)


def read_query(request: AnyRequest, kind: type[T]) -> T:
    """Return the query string as a value of one type; a list repeats its name.

    Raises:
        RequestError: a parameter is wrong, missing or unknown.
    """
    lists = _list_fields(kind)
    found = request.query_params.dict()
    values = {name: each if name in lists else each[-1] for name, each in found.items()}
    return converted(values, kind, strict=False)


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
