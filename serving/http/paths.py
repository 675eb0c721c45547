"""Which route an address means, and the id in it.

Law: an address is taken apart before it is decoded, so that every id that an event may carry can
stand in it, percent-encoded: `/v1/items/SHIRT%2FRED` is the item `SHIRT/RED`. Proxies that decode
before they pass on (nginx with a path in `proxy_pass`) send `/v1/items/SHIRT/RED`, which is the
same item, unless a slash stands first, last or twice: then it is not clear what was meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote

from freshet.core.errors import RequestError

PLACEHOLDER: Final = "-"
"""Stands for the id where the framework looks for a route."""

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the application.

    Attributes:
        template: as the framework writes it; a label of metrics.
        prefix: of the path, the whole of it when there is no parameter.
        suffix: what follows the parameter.
        has_parameter: whether an id stands between the two.
        methods: that it takes, HEAD included, OPTIONS not.
        is_socket: whether it is a WebSocket.
    """

    template: str
    prefix: str
    suffix: str
    has_parameter: bool
    methods: tuple[str, ...]
    is_socket: bool

    @property
    def allow(self) -> str:
        """The value of an `Allow` header."""
        return ", ".join((*self.methods, "OPTIONS"))


@dataclass(frozen=True, slots=True)
class Found:
    """What an address means.

    Attributes:
        path: for the framework's router.
        value: the id in the address, "" where there is none.
    """

    route: Route
    path: str
    value: str


class Routes:
    """The routes of an application.

    Args:
        described: (template, methods, whether it is a WebSocket) of each.
    """

    def __init__(self, described: Iterable[tuple[str, Iterable[str], bool]]) -> None:
        routes = [_route(*each) for each in described]
        self.all = tuple(routes)
        self._plain = {each.prefix: each for each in routes if not each.has_parameter}
        # The longest suffix first: `/v1/items/{id}/similar` before `/v1/items/{id}`.
        with_parameter = [each for each in routes if each.has_parameter]
        self._with_parameter = sorted(with_parameter, key=lambda each: -len(each.suffix))

    def find(self, raw_path: str) -> Found | None:
        """Return what an address means, None when it means nothing.

        Args:
            raw_path: of the request, still percent-encoded.

        Raises:
            RequestError: the id in it is ambiguous or not UTF-8.
        """
        plain = self._plain.get(raw_path if raw_path == "/" else raw_path.rstrip("/"))
        if plain is not None:
            return Found(plain, plain.prefix, "")
        for route in self._with_parameter:
            segment = _between(raw_path, route)
            if segment:
                return Found(route, f"{route.prefix}{PLACEHOLDER}{route.suffix}", _decoded(segment))
        return None


def raw_path_of(scope: Any) -> str:
    """Return the path of a request as it was sent, without its query."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.partition(b"?")[0].decode("ascii", "backslashreplace")


def _between(raw_path: str, route: Route) -> str:
    """Return what stands where a route has its parameter, "" when it is another route."""
    if not raw_path.startswith(route.prefix):
        return ""
    rest = raw_path[len(route.prefix) :]
    if not route.suffix:
        return rest
    return rest.removesuffix("/").removesuffix(route.suffix) if _ends(rest, route.suffix) else ""


def _ends(rest: str, suffix: str) -> bool:
    return rest.removesuffix("/").endswith(suffix)


def _decoded(segment: str) -> str:
    """Return an id.

    Raises:
        RequestError: see `Routes.find`.
    """
    if segment.startswith("/") or segment.endswith("/") or "//" in segment:
        raise RequestError(
            "it is not clear which id is meant: write a slash of an id as %2F, and none behind it",
            status=HTTPStatus.NOT_FOUND,
        )
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise RequestError("the id in the address is not percent-encoded UTF-8") from error


def _route(template: str, methods: Iterable[str], is_socket: bool) -> Route:
    prefix, brace, rest = template.partition("{")
    taken = set(methods) | ({"HEAD"} if "GET" in methods and not is_socket else set())
    return Route(
        template=template,
        prefix=prefix if prefix == "/" or brace else prefix.rstrip("/"),
        suffix=rest.partition("}")[2],
        has_parameter=bool(brace),
        methods=tuple(method for method in _METHODS if method in taken),
        is_socket=is_socket,
    )
