"""Probes of a running feed: how soon a click is in the list, and whether it changes the list."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from freshet.core.clock import Clock
from freshet.core.errors import ServiceError
from freshet.core.events.schema import Event
from replay.audit import Ledger
from replay.feed_client import FeedClient
from serving.answer import Answer, Query

PATIENCE_S = 10.0


@dataclass(slots=True)
class Latencies:
    """A sample of latencies in ms."""

    values_ms: list[float] = field(default_factory=list)

    def percentiles(self) -> dict[str, float]:
        """Return p50 and p99, NaN of an empty sample."""
        if not self.values_ms:
            return {"p50": float("nan"), "p99": float("nan")}
        p50, p99 = np.percentile(self.values_ms, [50, 99])
        return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


@dataclass(slots=True)
class Probe:
    """People who never existed before, each of whom looks, clicks once and looks again.

    Attributes:
        client: of the feed.
        ledger: counts what is sent.
        wall_ms: time stamps of the events.
        clock: monotonic seconds.
        click_to_feed: from sending the click to having a list that knows of it.
        recommend: from asking for a list to having it.
        personalised: how many lists a click has changed.
    """

    client: FeedClient
    ledger: Ledger
    wall_ms: Clock
    clock: Callable[[], float] = time.monotonic
    click_to_feed: Latencies = field(default_factory=Latencies)
    recommend: Latencies = field(default_factory=Latencies)
    people: int = 0
    personalised: int = 0

    def visit(self, number: int) -> None:
        """Let one person look, click what stands first but `number` places, and look again.

        The list after the click is compared with the one that a stranger gets at that moment from
        the same random draws and without the clicked item; so neither exploration nor the
        item's disappearance counts as a change.

        Raises:
            ServiceError: a list never knew of the click.
        """
        user = f"probe-{number}"
        query = Query(user=user, seed=number, impressions="client")
        before = self._timed(query)
        clicked = before.items[number % min(len(before.items), 10)].item_id
        click = Event(
            event_id=f"probe-{number}-click",
            type="click",
            user_id=user,
            item_id=clicked,
            ts_ms=self.wall_ms(),
            request_id=before.request_id,
        )
        self.ledger.note([click])
        started_s = self.clock()
        self.client.send([click])
        after = self._wait_for(click, number)
        self.click_to_feed.values_ms.append((self.clock() - started_s) * 1000)
        stranger = self._timed(
            Query(user=f"stranger-{number}", seed=number, exclude=[clicked], impressions="client")
        )
        self.people += 1
        self.personalised += _ids(after) != _ids(stranger)

    def _wait_for(self, click: Event, number: int) -> Answer:
        deadline_s = self.clock() + PATIENCE_S
        query = Query(user=click.user_id, seed=number, after=click.event_id, impressions="client")
        while self.clock() < deadline_s:
            answer = self.client.recommend(query)
            if answer.consistent:
                return answer
        raise ServiceError(
            "server", f"a click was not in the list within {PATIENCE_S:.0f} s; is a worker running?"
        )

    def _timed(self, query: Query) -> Answer:
        started_s = self.clock()
        answer = self.client.recommend(query)
        self.recommend.values_ms.append((self.clock() - started_s) * 1000)
        return answer


def _ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]
