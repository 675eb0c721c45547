"""What the door found out about a request before its route sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serving.http.origins import Whose

_KEY = "freshet.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and for what.

    Attributes:
        whose: the page that the request comes from.
        has_origin: whether it comes from a page that says so.
        value: the id in the address, decoded.
        method: as it was sent.
    """

    whose: Whose
    has_origin: bool
    value: str
    method: str


def introduce(scope: Any, caller: Caller) -> None:
    """Let routes know the caller of a request."""
    scope[_KEY] = caller


def id_of(request: Any) -> str:
    """Return the id in the address of a request."""
    return _caller(request).value


def is_page(request: Any) -> bool:
    """Return whether a page of our own or of an allowed origin sends this."""
    caller = _caller(request)
    return caller.has_origin and caller.whose != "foreign"


def has_effects(request: Any) -> bool:
    """Return whether a request may leave a trace; what a foreign page embeds may not."""
    caller = _caller(request)
    return caller.whose != "foreign" and caller.method != "HEAD"


def _caller(request: Any) -> Caller:
    caller: Caller = request.scope[_KEY]
    return caller
