"""The client of the feed: bodies, answers, errors."""

import json

import httpx
import msgspec
import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.schema import Event
from replay.feed_client import FeedClient
from serving.answer import Answer, Query

CLICK = Event(event_id="e", type="click", user_id="u", item_id="i", ts_ms=1_700_000_000_000)
ANSWER = Answer(
    request_id="r", user="u", model_version="m", as_of=None, quality="full", degraded=[],
    policy="p", personalised=False, consistent=None, took_ms=1.0, items=[],
)  # fmt: skip


def _client(status: int, body: object) -> tuple[FeedClient, list[httpx.Request]]:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(status, content=msgspec.json.encode(body))

    return FeedClient("http://feed", httpx.MockTransport(answer)), requests


def test_a_list_is_asked_for_and_read() -> None:
    """With all that the query says."""
    client, requests = _client(200, ANSWER)
    query = Query(user="u", k=3, exclude=["x"], after="e", impressions="client")
    assert client.recommend(query) == ANSWER
    assert msgspec.json.decode(requests[0].content, type=Query) == query


def test_events_are_sent_as_they_are() -> None:
    """In the one schema."""
    client, requests = _client(202, {"accepted": 1, "rejected": 0, "results": []})
    client.send([CLICK])
    assert [msgspec.convert(each, Event) for each in json.loads(requests[0].content)] == [CLICK]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, {"title": "away"}, "answered 503.*away"),
        (202, {"rejected": 1, "results": [{"error": "too old"}]}, "refused.*too old"),
    ],
)
def test_what_was_not_taken_is_an_error(status: int, body: dict, said: str) -> None:
    """With the server's own words."""
    client, _ = _client(status, body)
    with pytest.raises(ServiceError, match=said):
        client.send([CLICK])


def test_a_server_that_is_away_is_an_error() -> None:
    """Not one of the client library's."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = FeedClient("http://feed", httpx.MockTransport(refuse))
    with pytest.raises(ServiceError, match="refused"):
        client.recommend(Query(user="u"))
