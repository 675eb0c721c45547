"""Over HTTP: bodies of bounded size, order kept, refusals loud."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import ServiceError
from freshet.core.events.schema import Event, Item
from replay.targets import Refusal, Sent
from replay.targets.http import BATCH_BYTES, BATCH_EVENTS, HttpTarget, in_batches

T = 1_700_000_000_000


class _Server(ThreadingHTTPServer):
    """Writes down what it is sent and answers what it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict]] = []
        self.statuses: list[int] = []
        self.poison: set[str] = set()
        self.max_body = 10**9
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _answer(self) -> None:
        size = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(size))
        status = self.server.statuses.pop(0) if self.server.statuses else 202
        ids = [each["event_id"] for each in body.get("events", [])] or [body.get("item_id")]
        if size > self.server.max_body:
            status = 413
        elif set(ids) & self.server.poison:
            status = 400
        if status < 400:
            self.server.requests.append((self.command, self.path, body))
        old = [each == "old" for each in ids]
        results = [
            {"status": "rejected", "pointer": "/events/0/ts_ms", "error": "too old"}
            if each
            else {"status": "accepted"}
            for each in old
        ]
        answer = json.dumps({"detail": "no", "rejected": sum(old), "results": results}).encode()
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
    assert target.send([]) == Sent(0, [])
    target.send(_events(2 * BATCH_EVENTS + 1))
    target.send(_events(20, size=BATCH_BYTES // 10))
    sent = [event["event_id"] for _, _, body in server.requests for event in body["events"]]
    assert sent == [str(n) for n in [*range(2 * BATCH_EVENTS + 1), *range(20)]]
    assert [len(body["events"]) for _, _, body in server.requests][:3] == [500, 500, 1]


def test_items_are_put_under_their_names(server: _Server, target: HttpTarget) -> None:
    """Also names that a path cannot hold as they are."""
    target.put_items(
        [Item(item_id=name) for name in ("a/b c", ".", "..")] + [Item(item_id="plain", title="T")]
    )
    assert sorted((path, body["item_id"]) for _, path, body in server.requests) == [
        ("/v1/items/%2E", "."),
        ("/v1/items/%2E%2E", ".."),
        ("/v1/items/a%2Fb%20c", "a/b c"),
        ("/v1/items/plain", "plain"),
    ]


def _sent(server: _Server) -> list[str]:
    return [event["event_id"] for _, _, body in server.requests for event in body["events"]]


def test_a_rejected_event_is_named_by_its_place(server: _Server, target: HttpTarget) -> None:
    """A 202 with rejections has taken the others."""
    events = _events(BATCH_EVENTS + 3)
    events[BATCH_EVENTS + 1] = msgspec.structs.replace(events[0], event_id="old")
    assert target.send(events).refused == [Refusal(BATCH_EVENTS + 1, "/events/0/ts_ms too old")]


def test_a_body_refused_as_a_whole_is_cut_until_the_bad_event_is_alone(
    server: _Server, target: HttpTarget
) -> None:
    """Its neighbours are sent, each once and in order."""
    server.poison = {"3", "17"}
    refused = target.send(_events(20)).refused
    assert [at for at, _ in refused] == [3, 17]
    assert refused[0].reason == "answered 400: no"
    assert _sent(server) == [str(n) for n in range(20) if n not in {3, 17}]


def test_a_server_that_takes_less_gets_smaller_bodies(server: _Server, target: HttpTarget) -> None:
    """One event that is too large for it is named."""
    server.max_body = 2_000
    events = _events(20, size=300)
    events[7] = _events(1, size=5_000)[0]
    refused = target.send(events).refused
    assert [at for at, _ in refused] == [7]
    assert "413" in refused[0].reason
    assert len(_sent(server)) == 19


def test_a_refused_item_is_named_and_the_others_are_put(
    server: _Server, target: HttpTarget
) -> None:
    """As with events."""
    server.poison = {"b"}
    refused = target.put_items([Item(item_id=name) for name in "abc"])
    assert [at for at, _ in refused] == [1]
    assert sorted(body["item_id"] for _, _, body in server.requests) == ["a", "c"]


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_answer_that_is_no_event_s_fault_is_an_error(
    server: _Server, target: HttpTarget, status: int
) -> None:
    """It is quoted, and nothing is passed over."""
    server.statuses = [status]
    with pytest.raises(ServiceError, match=f"/v1/events answered {status}"):
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
