"""A worker's own small server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from freshet.core.address import http_url
from freshet.core.errors import SettingError
from streams.health import Health, HealthServer

OK = Health(status="ok", partitions=3, lag=7)


@pytest.fixture
def state() -> dict[str, Health]:
    return {"now": OK}


@pytest.fixture
def server(state: dict[str, Health]) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, lambda: state["now"])
    yield server
    server.close()


@pytest.mark.parametrize("host", ["::1", "[::1]", "::", "127.0.0.1", "0.0.0.0"])
def test_a_worker_answers_at_any_address(host: str) -> None:
    """IPv6 too, with and without brackets."""
    server = HealthServer(host, 0, lambda: OK)
    try:
        url = http_url(host, server.port)
        assert httpx.get(f"{url}/livez").json()["lag"] == OK.lag
    finally:
        server.close()


def test_a_worker_that_gets_on_says_so(server: HealthServer) -> None:
    """200, with what it owns and what waits there."""
    answer = httpx.get(f"http://127.0.0.1:{server.port}/livez")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "partitions": 3, "lag": 7}


def test_a_worker_that_does_not_is_unavailable(
    server: HealthServer, state: dict[str, Health]
) -> None:
    """503, with the reason."""
    state["now"] = Health(status="stalled: partition 0", partitions=3, lag=7)
    answer = httpx.get(f"http://127.0.0.1:{server.port}/livez")
    assert answer.status_code == 503
    assert answer.json()["status"] == "stalled: partition 0"


def test_metrics_are_in_the_text_format(server: HealthServer) -> None:
    """With the type that Prometheus asks for."""
    answer = httpx.get(f"http://127.0.0.1:{server.port}/metrics?name[]=x")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE freshet_consumer_lag_records gauge" in answer.text


def test_anything_else_is_not_there(server: HealthServer) -> None:
    """404, and the server goes on."""
    assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code == 404
    assert httpx.get(f"http://127.0.0.1:{server.port}/livez").status_code == 200


def test_a_taken_port_is_a_setting_to_change(server: HealthServer) -> None:
    """Two workers on one host need two ports."""
    with pytest.raises(SettingError, match="worker_metrics_port"):
        HealthServer("127.0.0.1", server.port, lambda: OK)
