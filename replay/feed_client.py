"""A client of the feed: asks for lists and reports what people did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from freshet.core.errors import ServiceError
from freshet.core.events.codec import encode
from freshet.core.events.schema import Event
from serving.answer import Answer, Query

TIMEOUT_S = 10.0
JSON = {"content-type": "application/json"}


class FeedClient:
    """Talks to a running `freshet serve`.

    Args:
        url: such as http://127.0.0.1:8080.
        transport: what carries the requests; real connections when None.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, transport=transport)

    def recommend(self, query: Query) -> Answer:
        """Return a list.

        Raises:
            ServiceError: there was none.
        """
        body = msgspec.json.encode(query)
        return msgspec.json.decode(self._post("/v1/recommendations", body), type=Answer)

    def send(self, events: Sequence[Event]) -> None:
        """Report events; when it returns, Kafka has them.

        Raises:
            ServiceError: one of them was not taken.
        """
        body = b"[" + b",".join(encode(event) for event in events) + b"]"
        results: dict[str, Any] = msgspec.json.decode(self._post("/v1/events", body))
        if results["rejected"]:
            raise ServiceError("server", f"refused events: {results['results']}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> FeedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, path: str, body: bytes) -> bytes:
        try:
            answer = self._client.post(path, content=body, headers=JSON)
        except httpx.HTTPError as error:
            raise ServiceError("server", f"POST {path}: {error!r}") from error
        if not answer.is_success:
            raise ServiceError(
                "server", f"POST {path} answered {answer.status_code}: {answer.text[:500]}"
            )
        return answer.content
