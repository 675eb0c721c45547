"""What many of these tests begin and end with, so that each shows what is its own."""

from __future__ import annotations

from collections.abc import Callable

from freshet.core.settings import Settings
from freshet.embedded.child import Child

from .stream import Stream
from .visitor import Visits

Start = Callable[[Settings], Child]


def caught_up(stream: Stream, worker: Start, count: int) -> Child:
    """Start a worker, send events and wait until all are counted; return its supervisor."""
    supervisor = worker(stream.settings)
    stream.send(count)
    stream.catch_up()
    return supervisor


def exact(stream: Stream) -> dict[str, int]:
    """Check that every count is exact; return the figures that say so."""
    stream.check()
    return {"counted": stream.applied(), "sent": stream.sent}


def answered(visits: Visits) -> dict[str, float]:
    """Check that every request got its list; return how many there were, and the slowest."""
    visits.check()
    return {"requests": visits.codes.total(), "slowest_ms": visits.slowest_ms}
