"""Over HTTP, as a website would: `POST /v1/events` in batches, `PUT /v1/items/{id}`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import msgspec

from freshet.core.errors import ServiceError
from freshet.core.events.codec import encode
from freshet.core.events.schema import Event, Item

BATCH_EVENTS = 500
BATCH_BYTES = 200_000  # a server takes bodies of 256 KiB
CONNECTIONS = 4
TIMEOUT_S = 30.0
BUSY_TRIES = 5  # answers of 429 and 503 that are tried again, each after a longer pause
BUSY_PAUSE_S = 0.2


def in_batches(parts: Iterable[bytes], most: int, most_bytes: int) -> Iterator[list[bytes]]:
    """Cut parts into batches of bounded number and size; a part that is too large is alone.

    >>> list(in_batches([b"aa", b"b", b"cccc", b"d"], most=2, most_bytes=3))
    [[b'aa', b'b'], [b'cccc'], [b'd']]
    """
    batch: list[bytes] = []
    size = 0
    for part in parts:
        if batch and (len(batch) == most or size + len(part) > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(part)
        size += len(part)
    if batch:
        yield batch


class HttpTarget:
    """Sends to a running `freshet serve`.

    Args:
        url: such as http://127.0.0.1:8080.
    """

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS)
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, limits=limits)
        self._putters = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="put-item")

    def send(self, events: Sequence[Event]) -> int:
        """Post the events, one batch after the other: their order is kept; see `Target`."""
        encoded = [encode(event) for event in events]
        for batch in in_batches(encoded, BATCH_EVENTS, BATCH_BYTES):
            body = b'{"events":[' + b",".join(batch) + b"]}"
            _require_all(self._request("POST", "/v1/events", body))
        return max(map(len, encoded), default=0)

    def put_items(self, items: Sequence[Item]) -> None:
        """Put the items, several at a time; see `Target`."""
        list(self._putters.map(self._put_item, items))

    def flush(self) -> None:
        """Do nothing: what was answered with 202 is in Kafka."""

    def close(self) -> None:
        """Close the connections."""
        self._putters.shutdown()
        self._client.close()

    def _put_item(self, item: Item) -> None:
        path = f"/v1/items/{quote(item.item_id, safe='')}"
        self._request("PUT", path, msgspec.json.encode(item))

    def _request(self, method: str, path: str, body: bytes) -> httpx.Response:
        for attempt in range(BUSY_TRIES):
            try:
                answer = self._client.request(
                    method, path, content=body, headers={"content-type": "application/json"}
                )
            except httpx.HTTPError as error:
                raise ServiceError("server", f"{method} {path}: {error!r}") from error
            if answer.status_code not in (429, 503):
                break
            time.sleep(BUSY_PAUSE_S * 2**attempt)
        if not answer.is_success:
            raise ServiceError(
                "server", f"{method} {path} answered {answer.status_code}: {answer.text[:500]}"
            )
        return answer


def _require_all(answer: httpx.Response) -> None:
    """Make an event that the server refused an error: a recorded event was valid when read."""
    body = answer.json()
    if body["rejected"]:
        first = next(each for each in body["results"] if each["status"] == "rejected")
        raise ServiceError("server", f"refused {body['rejected']} events, the first: {first}")
