"""Over HTTP, as a website would: `POST /v1/events` in batches, `PUT /v1/items/{id}`.

Law: what the server refuses for the event's own sake is named, and its neighbours are sent: a body
that is refused as a whole is cut in two until the event that it was refused for stands alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from freshet.core.errors import ServiceError
from freshet.core.events.codec import encode
from freshet.core.events.schema import Event, Item
from replay.targets import Refusal, Sent

BATCH_EVENTS = 500
BATCH_BYTES = 200_000  # a server takes bodies of 256 KiB
CONNECTIONS = 4
TIMEOUT_S = 30.0
BUSY_TRIES = 5  # answers of 429 and 503 that are tried again, each after a longer pause
BUSY_PAUSE_S = 0.2
OF_THE_BODY = (400, 413, 422)  # what was sent is at fault, not the way to the server


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

    def send(self, events: Sequence[Event]) -> Sent:
        """Post the events, one batch after the other: their order is kept; see `Target`."""
        encoded = [encode(event) for event in events]
        refused: list[Refusal] = []
        first = 0
        for batch in in_batches(encoded, BATCH_EVENTS, BATCH_BYTES):
            refused += (Refusal(first + at, reason) for at, reason in self._post(batch))
            first += len(batch)
        return Sent(max(map(len, encoded), default=0), refused)

    def put_items(self, items: Sequence[Item]) -> Sequence[Refusal]:
        """Put the items, several at a time; see `Target`."""
        reasons = self._putters.map(self._put_item, items)
        return [Refusal(at, reason) for at, reason in enumerate(reasons) if reason]

    def flush(self) -> None:
        """Do nothing: what was answered with 202 is in Kafka."""

    def close(self) -> None:
        """Close the connections."""
        self._putters.shutdown()
        self._client.close()

    def _post(self, batch: Sequence[bytes]) -> list[Refusal]:
        """Post events; return those that were refused."""
        body = b'{"events":[' + b",".join(batch) + b"]}"
        answer = self._request("POST", "/v1/events", body)
        if answer.is_success:
            results = answer.json()["results"]
            return [
                Refusal(at, _reason(each))
                for at, each in enumerate(results)
                if each["status"] == "rejected"
            ]
        if len(batch) == 1:
            return [Refusal(0, _detail(answer))]
        half = len(batch) // 2
        sooner, later = self._post(batch[:half]), self._post(batch[half:])
        return [*sooner, *(Refusal(half + at, reason) for at, reason in later)]

    def _put_item(self, item: Item) -> str:
        """Put an item; return why it was refused, "" when it was taken."""
        name = quote(item.item_id, safe="")
        if name in (".", ".."):  # the client takes these out of an address, RFC 3986, 5.2.4
            name = name.replace(".", "%2E")
        path = f"/v1/items/{name}"
        answer = self._request("PUT", path, msgspec.json.encode(item))
        return "" if answer.is_success else _detail(answer)

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
        if not answer.is_success and answer.status_code not in OF_THE_BODY:
            raise ServiceError(
                "server", f"{method} {path} answered {answer.status_code}: {answer.text[:500]}"
            )
        return answer


def _reason(result: dict[str, Any]) -> str:
    """Return why a result says that its event was rejected."""
    return f"{result.get('pointer', '')} {result.get('error', '')}".strip() or "rejected"


def _detail(answer: httpx.Response) -> str:
    """Return what a refusal says, the first error in its words where it names one."""
    try:
        body = answer.json()
        errors = body.get("errors") or [{}]
        said = [body.get("detail", ""), errors[0].get("pointer", ""), errors[0].get("detail", "")]
        text = " ".join(each for each in said if each)
    except (ValueError, AttributeError, TypeError):
        text = answer.text
    return f"answered {answer.status_code}: {text[:300]}"
