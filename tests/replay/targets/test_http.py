"""Over HTTP: bodies of bounded size, order kept, refusals loud."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import ServiceError
from freshet.core.events.schema import Event, Item
from replay.targets.http import BATCH_BYTES, BATCH_EVENTS, HttpTarget, in_batches

T = 1_700_000_000_000


class _Server(ThreadingHTTPServer):
    """Writes down what it is sent and answers what it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict]] = []
        self.statuses: list[int] = []
        self.rejected = 0
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = self.server.statuses.pop(0) if self.server.statuses else 202
        if status < 400:
            self.server.requests.append((self.command, self.path, body))
        results = [{"status": "rejected", "error": "too old"}] * self.server.rejected
        answer = json.dumps({"rejected": self.server.rejected, "results": results}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A server that takes everything."""
    with _Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(server: _Server) -> Iterator[HttpTarget]:
    """A target that sends to it."""
    target = HttpTarget(f"http://127.0.0.1:{server.server_port}")
    yield target
    target.close()


def _events(count: int, size: int = 1) -> list[Event]:
    return [
        Event(event_id=str(n), type="click", user_id="u", item_id="i", ts_ms=T,
              context={"x": "y" * size})
        for n in range(count)
    ]  # fmt: skip


@given(st.lists(st.binary(max_size=8)), st.integers(1, 4), st.integers(1, 12))
def test_batches_keep_order_and_bounds(parts: list[bytes], most: int, most_bytes: int) -> None:
    """Only a part that is too large by itself may break the bound of bytes."""
    batches = list(in_batches(parts, most, most_bytes))
    assert [part for batch in batches for part in batch] == parts
    for batch in batches:
        assert 0 < len(batch) <= most
        assert sum(map(len, batch)) <= most_bytes or len(batch) == 1


def test_events_arrive_in_order(server: _Server, target: HttpTarget) -> None:
    """However many bodies they need."""
    assert target.send([]) == 0
    target.send(_events(2 * BATCH_EVENTS + 1))
    target.send(_events(20, size=BATCH_BYTES // 10))
    sent = [event["event_id"] for _, _, body in server.requests for event in body["events"]]
    assert sent == [str(n) for n in [*range(2 * BATCH_EVENTS + 1), *range(20)]]
    assert [len(body["events"]) for _, _, body in server.requests][:3] == [500, 500, 1]


def test_items_are_put_under_their_names(server: _Server, target: HttpTarget) -> None:
    """Also names that a path cannot hold as they are."""
    target.put_items([Item(item_id="a/b c"), Item(item_id="plain", title="T")])
    assert sorted((path, body["item_id"]) for _, path, body in server.requests) == [
        ("/v1/items/a%2Fb%20c", "a/b c"),
        ("/v1/items/plain", "plain"),
    ]


def test_a_refused_event_is_an_error(server: _Server, target: HttpTarget) -> None:
    """A 202 with refusals is not good enough."""
    server.rejected = 1
    with pytest.raises(ServiceError, match=r"refused 1 events.*too old"):
        target.send(_events(1))


def test_another_answer_is_an_error(server: _Server, target: HttpTarget) -> None:
    """It is quoted."""
    server.statuses = [400]
    with pytest.raises(ServiceError, match="/v1/events answered 400"):
        target.send(_events(1))


def test_a_busy_server_is_asked_again(server: _Server, target: HttpTarget) -> None:
    """And gets each event once more, not twice."""
    server.statuses = [503]
    target.send(_events(3))
    assert len(server.requests) == 1


def test_no_server_is_an_error() -> None:
    """At once."""
    target = HttpTarget("http://127.0.0.1:1")
    with pytest.raises(ServiceError, match="ConnectError"):
        target.send(_events(1))
    target.close()
