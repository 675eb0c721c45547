"""The application as a whole: its document, its health, its metrics, its page."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from litestar.routes import WebSocketRoute
from litestar.testing import TestClient

from serving.http.app import create_app
from serving.http.bodies import MAX_BODY_BYTES
from serving.http.openapi import OPERATIONS
from serving.http.page import WEB


def test_the_document_names_exactly_the_routes_there_are(services: Any) -> None:
    """Each path and method, and no other."""
    documented = {
        (operation.path, operation.method.upper())
        for operation in OPERATIONS
        if operation.status != 101
    }
    app = create_app(services)
    there = set()
    for route in app.routes:
        path = route.path_format.replace("{item_id:str}", "{item_id}")
        methods = getattr(route, "methods", set()) - {"OPTIONS", "HEAD"}
        there |= {(path, method) for method in methods if not path.startswith("/static")}
    assert there == documented
    sockets = {route.path for route in app.routes if isinstance(route, WebSocketRoute)}
    assert sockets == {each.path for each in OPERATIONS if each.status == 101}


def test_the_document_is_openapi_3_1_and_its_references_lead_somewhere(client: Any) -> None:
    """Every operation has an id of its own and an answer."""
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    operations = [each for path in document["paths"].values() for each in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(operation["responses"] for operation in operations)
    assert schemas["Event"]["required"] == ["type", "user_id", "item_id"]
    parameters = document["paths"]["/v1/recommendations"]["get"]["parameters"]
    assert {each["name"] for each in parameters} >= {"user", "k", "seed", "after", "impressions"}


def test_the_limits_of_parameters_are_true(client: Any) -> None:
    """What the document allows is taken, and one more is refused."""
    document = client.get("/openapi.json").json()
    needed = {"user": "ann", "partition": 0, "offset": 0, "ts_ms": 0}
    looked_at = 0
    for path, operations in document["paths"].items():
        parameters = [
            each
            for each in operations.get("get", {}).get("parameters", [])
            if each["in"] == "query"
        ]
        given = {
            each["name"]: needed[each["name"]] for each in parameters if each["name"] in needed
        }
        address = path.replace("{item_id}", "item-1").replace("{user_hash}", "0" * 32)
        for each in parameters:
            name, schema = each["name"], each["schema"]
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in schema and name not in needed:
                    ok, wrong = schema[bound], schema[bound] + step
                    assert client.get(address, params=given | {name: ok}).status_code == 200
                    answer = client.get(address, params=given | {name: wrong})
                    assert answer.json()["errors"][0]["pointer"] == f"/{name}"
                    looked_at += 1
            for word in schema.get("enum", []):
                assert client.get(address, params=given | {name: word}).status_code == 200
                looked_at += 1
    assert looked_at >= 12
    (events,) = (
        each for each in _bodies(document, "/v1/events", "post") if each.get("type") == "array"
    )
    click = {"type": "click", "user_id": "ann", "item_id": "a"}
    most = events["maxItems"]
    assert client.post("/v1/events", json=[click] * most).status_code == 202
    assert client.post("/v1/events", json=[click] * (most + 1)).status_code == 400


def test_what_every_body_may_be_answered_with_is_documented(client: Any) -> None:
    """403, 413 and 415 are there, and in the document."""
    document = client.get("/openapi.json").json()
    json_type = {"content-type": "application/json"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" not in operation:
                continue
            documented = set(operation["responses"])
            address = path.replace("{item_id}", "a")
            for status, content, headers in (
                (403, b"{}", json_type | {"origin": "https://evil.example"}),
                (413, b" " * (MAX_BODY_BYTES + 1), json_type),
                (415, b"{}", {"content-type": "text/plain"}),
                (400, b"{", json_type),
            ):
                answer = client.request(method, address, content=content, headers=headers)
                assert answer.status_code == status
                assert str(status) in documented, (path, method)
            assert "408" in documented


def test_readiness_is_the_item_state(client: Any, item_state: Any) -> None:
    """503 until it is loaded; the process lives all the same."""
    assert client.get("/readyz").json()["items"] == 80
    item_state.following = False
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert client.get("/livez").status_code == 200


def test_a_state_that_is_behind_is_in_the_body(services: Any) -> None:
    """Lists can be given: the server is ready."""
    behind = False
    state = dataclasses.replace(services.state, is_behind=lambda: behind)
    with TestClient(create_app(dataclasses.replace(services, state=state))) as client:
        assert client.get("/readyz").json()["degraded"] == []
        behind = True
        response = client.get("/readyz")
    assert (response.status_code, response.json()["degraded"]) == (200, ["state_behind"])


def test_readiness_waits_for_the_look_at_the_models(client: Any, live: Any) -> None:
    """A server that was just started would answer without the bundle that it has."""
    live.looked = False
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "models" in response.json()["detail"]
    live.looked = True
    assert client.get("/readyz").status_code == 200


def test_requests_are_counted_by_the_template_of_their_route(client: Any) -> None:
    """Never by a path that a caller can make up."""
    client.get("/v1/items/item-1/similar")
    client.get("/made/up")
    text = client.get("/metrics").text
    assert 'route="/v1/items/{item_id:str}/similar"' in text
    assert "/made" not in text
    assert "freshet_recommendations_total" in text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/static/feed.js", "javascript"),
        ("/static/feed.css", "text/css"),
        ("/static/mark.svg", "image/svg+xml"),
    ],
)
def test_the_page_is_served_with_its_files(client: Any, path: str, kind: str) -> None:
    """From the package itself."""
    response = client.get(path)
    assert response.status_code == 200
    assert kind in response.headers["content-type"]


def test_the_page_names_nothing_from_elsewhere() -> None:
    """No address of another host in any of its files, the name of the SVG language apart."""
    for file in WEB.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"""https?://|["'(]//""", text), file


def test_the_page_names_its_own_files_and_routes_relatively() -> None:
    """A proxy may show it under a path."""
    for file in WEB.iterdir():
        assert not re.search(r"""["'`(=]/(static|v1)""", file.read_text()), file
        assert "location.host" not in file.read_text(), file


def test_the_files_of_the_page_are_kept_until_they_change(client: Any) -> None:
    """By their tag; a name that is none of theirs is not found."""
    first = client.get("/static/feed.js")
    again = client.get("/static/feed.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/static/..%2Fserver.py").status_code == 404
    assert client.get("/static/%2E%2E/server.py").status_code == 404


def _bodies(document: Any, path: str, method: str) -> list[Any]:
    content = document["paths"][path][method]["requestBody"]["content"]["application/json"]
    return list(content["schema"]["oneOf"])


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for inner in value.values() for each in _references(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in _references(inner)]
    return []
