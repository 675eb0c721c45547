"""Whose page a request comes from."""

from __future__ import annotations

import pytest

from serving.http.origins import allowed_set, forwarded_prefix, is_host_allowed, whose

ALLOWED = allowed_set(["https://shop.example/", "http://Dev.example:3000"])


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, "own"),
        ({"origin": "http://rec.example:8080", "host": "rec.example:8080"}, "own"),
        ({"origin": "https://REC.example", "host": "rec.example"}, "own"),
        ({"origin": "https://rec.example", "host": "rec.example:443"}, "own"),
        ({"origin": "http://[::1]:8080", "host": "[::1]:8080"}, "own"),
        ({"origin": "https://rec.example", "host": "up:8080",
          "x-forwarded-host": "rec.example"}, "own"),
        ({"origin": "https://rec.example", "host": "up:8080",
          "forwarded": 'for=1.2.3.4;host="rec.example";proto=https'}, "own"),
        ({"origin": "https://rec.example", "host": "up:8080", "sec-fetch-site": "same-origin"},
         "own"),
        ({"sec-fetch-site": "none"}, "own"),
        ({"origin": "https://shop.example", "host": "rec.example"}, "allowed"),
        ({"origin": "https://shop.example:443", "sec-fetch-site": "cross-site"}, "allowed"),
        ({"origin": "http://dev.example:3000", "host": "rec.example"}, "allowed"),
        ({"origin": "http://shop.example", "host": "rec.example"}, "foreign"),
        ({"origin": "https://evil-shop.example", "host": "rec.example"}, "foreign"),
        ({"origin": "https://shop.example.evil", "host": "rec.example"}, "foreign"),
        ({"origin": "https://evil-rec.example", "host": "rec.example"}, "foreign"),
        ({"origin": "https://rec.example.evil", "host": "rec.example"}, "foreign"),
        ({"origin": "http://rec.example:8081", "host": "rec.example:8080"}, "foreign"),
        ({"origin": "http://rec.example", "host": "rec.example",
          "sec-fetch-site": "cross-site"}, "foreign"),
        ({"origin": "null", "host": "rec.example"}, "foreign"),
        ({"origin": "", "host": ""}, "foreign"),
        ({"origin": "https://", "host": ""}, "foreign"),
        ({"sec-fetch-site": "cross-site"}, "foreign"),
        ({"sec-fetch-site": "same-site"}, "foreign"),
    ],
)  # fmt: skip
def test_a_page_is_known_by_its_origin(headers: dict[str, str], verdict: str) -> None:
    """The scheme may differ, behind a proxy; host and port may not."""
    assert whose(headers, ALLOWED) == verdict


def test_a_page_without_an_origin_may_be_allowed_by_name() -> None:
    """`null` is what a file or a sandboxed frame sends."""
    assert whose({"origin": "null", "host": "a"}, allowed_set(["null"])) == "allowed"


@pytest.mark.parametrize(
    ("host", "names", "allowed"),
    [
        ("anything", [], True),
        ("rec.example", ["rec.example"], True),
        ("REC.example.:8080", ["rec.example"], True),
        ("[::1]:8080", ["[::1]"], True),
        ("[::1]:8080", ["::1"], True),
        ("[::1]", ["::1"], True),
        ("[2001:db8::1]:80", ["2001:DB8::1"], True),
        ("[::2]:8080", ["::1"], False),
        ("evil.example:8080", ["rec.example", "127.0.0.1"], False),
        ("", ["rec.example"], False),
    ],
)
def test_a_name_is_allowed_with_any_port(host: str, names: list[str], allowed: bool) -> None:
    """A page that had its own name point here (DNS rebinding) still sends that name."""
    assert is_host_allowed(host, names) is allowed


@pytest.mark.parametrize(
    ("sent", "prefix"),
    [("/rec", "/rec"), ("/a/b/", "/a/b"), ("/", ""), ("rec", ""), ("//evil.example", ""),
     ("/a?b", ""), ("/a b", "")],
)  # fmt: skip
def test_a_prefix_is_taken_only_when_it_is_a_path(sent: str, prefix: str) -> None:
    """What a proxy names stands in links that we make."""
    assert forwarded_prefix({"x-forwarded-prefix": sent}) == prefix
