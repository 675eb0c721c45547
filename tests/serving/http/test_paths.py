"""Every id can stand in an address."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from freshet.core.errors import RequestError
from serving.http.paths import Routes

ROUTES = Routes(
    [
        ("/", {"GET", "OPTIONS"}, False),
        ("/v1/events", {"POST", "OPTIONS"}, False),
        ("/v1/items/{item_id:str}", {"PUT", "DELETE", "OPTIONS"}, False),
        ("/v1/items/{item_id:str}/similar", {"GET", "OPTIONS"}, False),
        ("/v1/feed", {"GET"}, True),
    ]
)
IDS = [
    "a", "SHIRT/RED", "/", "//", "/lead", "trail/", "a//b", "100%", "100%25", "%2F", "a?b#c", ".",
    "..", "../../etc", "a b", " a ", "a+b", "tea \U0001f375", "\u00e9", "x/similar", "similar",
    "/similar", "a&b=c", 'q"q', "a\\b", "\x00", "-", "{x}", "<i>", "x" * 128,
]  # fmt: skip


@pytest.mark.parametrize("item_id", IDS)
def test_every_id_comes_back_from_its_address(item_id: str) -> None:
    """Percent-encoded, in both kinds of route."""
    encoded = quote(item_id, safe="").replace(".", "%2E")
    for suffix in ("", "/similar"):
        found = ROUTES.find(f"/v1/items/{encoded}{suffix}")
        assert found is not None
        assert found.value == item_id
        assert found.route.template == f"/v1/items/{{item_id:str}}{suffix}"
        assert found.path == f"/v1/items/-{suffix}"


@pytest.mark.parametrize(
    ("path", "template", "value"),
    [
        ("/v1/items/SHIRT/RED", "/v1/items/{item_id:str}", "SHIRT/RED"),
        ("/v1/items/a/b/similar", "/v1/items/{item_id:str}/similar", "a/b"),
        ("/v1/items/a/similar/", "/v1/items/{item_id:str}/similar", "a"),
        ("/v1/items/..", "/v1/items/{item_id:str}", ".."),
        ("/v1/events/", "/v1/events", ""),
        ("/", "/", ""),
    ],
)
def test_what_a_proxy_decoded_is_understood(path: str, template: str, value: str) -> None:
    """Where it is clear what is meant."""
    found = ROUTES.find(path)
    assert found is not None
    assert (found.route.template, found.value) == (template, value)


@pytest.mark.parametrize("path", ["/v1/items/a/", "/v1/items//a", "/v1/items/a//b"])
def test_an_ambiguous_slash_is_refused(path: str) -> None:
    """Nobody erases `alice/` in place of `alice`."""
    with pytest.raises(RequestError) as caught:
        ROUTES.find(path)
    assert caught.value.status == 404
    assert "%2F" in caught.value.detail


def test_an_id_that_is_not_utf8_is_refused() -> None:
    """400: two such ids must not become one."""
    with pytest.raises(RequestError) as caught:
        ROUTES.find("/v1/items/%FF")
    assert caught.value.status == 400


@pytest.mark.parametrize("path", ["/v1", "/v1/items", "/v1/items/", "/v2/items/a", "", "/events"])
def test_what_is_no_route_is_found_nowhere(path: str) -> None:
    """Without a guess."""
    assert ROUTES.find(path) is None


def test_head_goes_where_get_goes_but_not_into_a_socket() -> None:
    """And OPTIONS goes everywhere."""
    allowed = {route.template: route.allow for route in ROUTES.all}
    assert allowed["/"] == "GET, HEAD, OPTIONS"
    assert allowed["/v1/items/{item_id:str}"] == "PUT, DELETE, OPTIONS"
    assert allowed["/v1/feed"] == "GET, OPTIONS"
