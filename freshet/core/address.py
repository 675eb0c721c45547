"""Addresses: host and port to a URL and to a socket, also where the host is an IPv6 address.

Law: no other module puts a host and a port together. In a URL, and wherever a port follows, an IPv6
address stands in brackets (RFC 3986, section 3.2.2); for a socket it stands without.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Where a client finds what is bound to every address."""


def bare_host(host: str) -> str:
    """Return a host as a socket takes it.

    >>> bare_host("[::1]"), bare_host(" localhost ")
    ('::1', 'localhost')
    """
    host = host.strip()
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def host_port(host: str, port: int) -> str:
    """Return an address as it is written.

    >>> host_port("::1", 8080), host_port("127.0.0.1", 8080)
    ('[::1]:8080', '127.0.0.1:8080')
    """
    host = bare_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def http_url(host: str, port: int) -> str:
    """Return the URL at which a client on this machine finds a server that is bound so.

    >>> http_url("::1", 8080), http_url("::", 80), http_url("0.0.0.0", 80)
    ('http://[::1]:8080', 'http://[::1]:80', 'http://127.0.0.1:80')
    >>> http_url("fe80::1%eth0", 80)
    'http://[fe80::1%25eth0]:80'
    """
    host = bare_host(host)
    host = _LOOPBACK.get(host, host)
    if ":" in host:
        host = host.replace("%25", "%").replace("%", "%25")  # of a zone, RFC 6874
    return f"http://{host_port(host, port)}"


def split_host_port(address: str, default_port: int) -> tuple[str, int]:
    """Return host, without brackets, and port of a written address.

    Raises:
        ValueError: the port is no number.

    >>> split_host_port("[::1]:7000", 6379), split_host_port("[::1]", 6379)
    (('::1', 7000), ('::1', 6379))
    >>> split_host_port("one:7000", 6379), split_host_port("one", 6379)
    (('one', 7000), ('one', 6379))
    """
    head, colon, port = address.rpartition(":")
    if not colon or "]" in port or ":" in head.partition("]")[2] or _is_ipv6(address):
        return bare_host(address), default_port
    return bare_host(head), int(port)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; `::` takes IPv4 too.

    Raises:
        OSError: the address is not free, or none of this machine.
    """
    host = bare_host(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM, flags=flags)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::":
            with suppress(OSError):
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(found[0][4])
    except OSError:
        listener.close()
        raise
    return listener


def is_taken(host: str, port: int, timeout_s: float) -> bool:
    """Return whether a program listens at an address."""
    host = bare_host(host)
    try:
        socket.create_connection((_LOOPBACK.get(host, host), port), timeout_s).close()
    except OSError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except OSError:
        return False
    return True
