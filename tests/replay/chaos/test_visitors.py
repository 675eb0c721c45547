"""Visitors: what they hold is compared with the truth, and a wrong status is a finding."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from replay.chaos.user_truth import UserTruth
from replay.chaos.visitors import FEEDS, Visitors

OFFERED = 7


class Server(BaseHTTPRequestHandler):
    """Is ready with so many items, and answers lists with a status."""

    status = 200

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(self.status)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int) -> None:
        body = json.dumps({"items": OFFERED}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url() -> Iterator[str]:
    """Of a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def truth(applied: int, interacted_at: int) -> UserTruth:
    return UserTruth(0, applied=applied, interacted_at=interacted_at)


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong stays so: there is nothing to wait for."""
    monkeypatch.setattr("replay.chaos.visitors.SETTLED_S", 0.0)


def wrong(visitors: Visitors, acting: dict[str, UserTruth], offered: int = OFFERED) -> list[int]:
    """How many lists, feeds and servers are wrong."""
    return [each.wrong for each in visitors.findings(acting, offered, lambda _: None)]


def test_a_feed_holds_what_its_user_did_last(url: str) -> None:
    """Or what came behind it; of nobody, nothing. An older list, a newer one or none is wrong."""
    visitors = Visitors(url)
    first, second, third = FEEDS
    acting = {first: truth(9, 9), second: truth(9, 5)}
    visitors.applied = {first: 9, second: 7, third: 0}
    assert wrong(visitors, acting) == [0, 0, 0]
    visitors.applied = {first: 8, second: 4}
    assert wrong(visitors, acting) == [0, 3, 0]


def test_a_server_that_offers_other_items_or_is_away_is_wrong(url: str) -> None:
    """Each of them alone."""
    visitors = Visitors(url)
    visitors.applied = dict.fromkeys(FEEDS, 0)
    assert wrong(visitors, {}, OFFERED + 1) == [0, 0, 1]
    away = Visitors("http://127.0.0.1:9")
    away.applied = dict.fromkeys(FEEDS, 0)
    assert wrong(away, {}) == [0, 0, 1]


def test_no_list_is_a_fault_of_the_time_and_a_bug_is_a_finding(url: str) -> None:
    """503 says that there is none now; 500 is ours."""
    visitors = Visitors(url)
    visitors.applied = dict.fromkeys(FEEDS, 0)
    visitors.codes.update({200: 5, 503: 2, 0: 1})
    assert wrong(visitors, {}) == [0, 0, 0]
    visitors.codes[500] += 2
    assert wrong(visitors, {}) == [2, 0, 0]


def test_lists_are_asked_for_until_paused(
    url: str, monkeypatch: pytest.MonkeyPatch, wait_until: object
) -> None:
    """And what they were answered is counted."""
    monkeypatch.setattr("replay.chaos.visitors.ASK_S", 0.001)
    visitors = Visitors(url)
    visitors.start()
    try:
        assert callable(wait_until)
        wait_until(lambda: visitors.codes[200] > 3)
        with visitors.paused():
            asked = visitors.codes.total()
        wait_until(lambda: visitors.codes.total() > asked)
    finally:
        visitors.stop()
