"""Counting and timing requests, labelled by the route's template, never by its path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from freshet.core.metrics import HTTP_REQUEST_DURATION, HTTP_REQUESTS
from serving.http.paths import Route

OTHER: Final = "other"
"""The label of what no route takes."""

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
FAULTS: Final = (500, 503)
"""What we answer when it is our fault; alerts read these."""


def count_request(template: str, method: str, status: int, seconds: float) -> None:
    """Count an answer."""
    named = method if method in METHODS else OTHER
    HTTP_REQUESTS.labels(template, named, status).inc()
    HTTP_REQUEST_DURATION.labels(template).observe(seconds)


def start_at_zero(routes: Iterable[Route]) -> None:
    """Let the series of faults exist before the first fault, or `increase` would not see it."""
    for route in routes:
        HTTP_REQUEST_DURATION.labels(route.template)
        for method in route.methods:
            for status in FAULTS:
                HTTP_REQUESTS.labels(route.template, method, status)
