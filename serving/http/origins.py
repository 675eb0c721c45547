"""Whose page a request comes from: our own, one that is allowed, or a foreign one.

Law: a browser sends a page's `Origin` with everything that may change something, and no page can
forge it, nor `Sec-Fetch-Site`; what carries neither is no page. A foreign page writes nothing,
opens no socket and causes no effect.

The scheme of an origin is not compared: a proxy that ends TLS changes it. Its host is compared with
`Host` and with what a proxy says that it was, `X-Forwarded-Host` or `Forwarded`; a foreign page can
set none of these (Fetch standard, "forbidden request-header"; anything else would be asked for by a
preflight, which is refused).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from freshet.core.address import bare_host

Whose = Literal["own", "allowed", "foreign"]

_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_FORWARDED_HOST = re.compile(r'(?:^|[;,\s])host="?([^";,\s]+)', re.IGNORECASE)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


def allowed_set(origins: Iterable[str]) -> frozenset[str]:
    """Return origins as they are compared.

    >>> sorted(allowed_set(["https://Shop.example:443/", "null"]))
    ['https://shop.example', 'null']
    """
    return frozenset(_normal(each) for each in origins)


def whose(headers: Mapping[str, str], allowed: frozenset[str]) -> Whose:
    """Return whose page a request comes from; "own" when it comes from none.

    Args:
        headers: of the request, names in lower case.
        allowed: as `allowed_set` makes it.

    >>> whose({"host": "rec.example", "origin": "https://rec.example"}, frozenset())
    'own'
    >>> whose({"host": "rec.example", "origin": "https://elsewhere.example"}, frozenset())
    'foreign'
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and _normal(origin) in allowed:
        return "allowed"
    if site in ("cross-site", "same-site"):  # same-site is another host, port or scheme
        return "foreign"
    if origin is None or site == "same-origin":
        return "own"
    scheme, _, host = _normal(origin).partition("://")
    own = {_without_port(each.lower(), scheme) for each in _own_hosts(headers)}
    return "own" if host and host in own else "foreign"


def is_host_allowed(host: str, allowed: Iterable[str]) -> bool:
    """Return whether a `Host` may be answered; any may while none is named.

    >>> is_host_allowed("rec.example:8080", ["rec.example"]), is_host_allowed("a.example", [])
    (True, True)
    >>> is_host_allowed("evil.example", ["rec.example"])
    False
    >>> is_host_allowed("[::1]:8080", ["::1"])
    True
    """
    names = {bare_host(each.lower()) for each in allowed}
    bare = re.sub(r":\d*$", "", host.lower()).rstrip(".")
    return not names or bare_host(bare) in names or host.lower() in names


def forwarded_prefix(headers: Mapping[str, str]) -> str:
    """Return the path under which a proxy shows this server, as its `X-Forwarded-Prefix` says.

    >>> forwarded_prefix({"x-forwarded-prefix": "/rec/"}), forwarded_prefix({})
    ('/rec', '')
    """
    prefix = headers.get("x-forwarded-prefix", "").strip().rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""


def _own_hosts(headers: Mapping[str, str]) -> list[str]:
    forwarded = [each.strip() for each in headers.get("x-forwarded-host", "").split(",")]
    named = _FORWARDED_HOST.findall(headers.get("forwarded", ""))
    return [headers.get("host", ""), *forwarded, *named]


def _normal(origin: str) -> str:
    origin = origin.strip().lower().rstrip("/")
    scheme, separator, host = origin.partition("://")
    return f"{scheme}://{_without_port(host, scheme)}" if separator else origin


def _without_port(host: str, scheme: str) -> str:
    port = _DEFAULT_PORTS.get(scheme)
    return host.removesuffix(f":{port}") if port else host
