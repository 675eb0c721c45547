"""Addresses of both kinds, written, taken apart, and listened at."""

from __future__ import annotations

import socket
from contextlib import closing

import httpx
import pytest

from freshet.core.address import (
    bare_host,
    host_port,
    http_url,
    is_taken,
    listening_socket,
    split_host_port,
)

HOSTS = ["127.0.0.1", "localhost", "::1", "[::1]", "::", "0.0.0.0", "rec.example", "fe80::1%eth0"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_url_is_one_that_a_client_takes(host: str) -> None:
    """With host and port as they were."""
    url = httpx.URL(http_url(host, 8080))
    assert url.port == 8080
    assert bare_host(url.host) not in ("", "::", "0.0.0.0")


@pytest.mark.parametrize("host", HOSTS)
def test_an_address_that_was_written_is_taken_apart(host: str) -> None:
    """Both ways."""
    assert split_host_port(host_port(host, 7000), 1) == (bare_host(host), 7000)


@pytest.mark.parametrize("address", ["one", "[::1]", "::1", "fe80::1%eth0"])
def test_without_a_port_there_is_the_usual_one(address: str) -> None:
    """An IPv6 address ends in no port, for all its colons."""
    assert split_host_port(address, 6379) == (bare_host(address), 6379)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "::", ""])
def test_what_listens_is_found(host: str) -> None:
    """And is no longer found once it is closed."""
    listener = listening_socket(host, 0)
    port = listener.getsockname()[1]
    with closing(listener):
        listener.listen()
        assert is_taken(host, port, 1.0)
    assert not is_taken(host, port, 1.0)


def test_every_address_of_ipv6_takes_ipv4_too() -> None:
    """`::` is both, as in other servers."""
    with closing(listening_socket("::", 0)) as listener:
        listener.listen()
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 1.0).close()


def test_an_address_that_is_taken_is_an_error() -> None:
    """And leaves no socket open."""
    with closing(listening_socket("::1", 0)) as listener:
        listener.listen()
        with pytest.raises(OSError, match="in use"):
            listening_socket("::1", listener.getsockname()[1])
