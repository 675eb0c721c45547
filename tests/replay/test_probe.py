"""Probes: what they call personal, and how long they wait."""

import math
from typing import Any

import pytest

from freshet.core.errors import ServiceError
from replay.audit import Ledger
from replay.probe import Latencies, Probe
from serving.answer import Answer, AnswerItem, Query


class _Feed:
    """A feed whose lists are the same for all, unless it is told to be personal."""

    def __init__(self, *, personal: bool, lag: int = 0) -> None:
        self.personal = personal
        self.lag = lag
        self.now_s = 0.0
        self.sent: list[Any] = []

    def send(self, events: Any) -> None:
        """Take events."""
        self.sent += events

    def recommend(self, query: Query) -> Answer:
        """Return a list; one that waits for an event takes 10 ms."""
        self.now_s += 0.01
        ids = [f"i{number}" for number in range(12) if f"i{number}" not in query.exclude]
        clicked = [event.item_id for event in self.sent if event.user_id == query.user]
        ids = [item for item in ids if item not in clicked]
        if self.personal and clicked:
            ids.reverse()
        self.lag -= query.after is not None
        items = [
            AnswerItem(item_id=item, title="", categories=[], position=n, score=0.0, source="s",
                       reason="", propensity=1.0, explored=False)
            for n, item in enumerate(ids)
        ]  # fmt: skip
        return Answer(
            request_id="r", user=query.user, model_version="", as_of=None, quality="full",
            degraded=[], policy="p", personalised=False, took_ms=1.0, items=items,
            consistent=None if query.after is None else self.lag < 0,
        )  # fmt: skip


def _probe(feed: Any) -> Probe:
    return Probe(feed, Ledger(), lambda: 1_700_000_000_000, clock=lambda: feed.now_s)


@pytest.mark.parametrize(("personal", "changed"), [(True, 5), (False, 0)])
def test_a_missing_item_alone_is_not_a_personal_list(personal: bool, changed: int) -> None:
    """The list of a stranger without that item is what counts."""
    feed = _Feed(personal=personal)
    probe = _probe(feed)
    for number in range(5):
        probe.visit(number)
    assert (probe.people, probe.personalised) == (5, changed)
    assert sum(int(counts.sum()) for counts in probe.ledger.sent.values()) == 5


def test_the_time_runs_until_the_list_knows_of_the_click() -> None:
    """Lists that do not know it yet are asked for again."""
    probe = _probe(_Feed(personal=True, lag=3))
    probe.visit(0)
    assert probe.click_to_feed.values_ms == [pytest.approx(40)]
    assert probe.recommend.values_ms == [pytest.approx(10)] * 2


def test_a_click_that_never_arrives_is_an_error() -> None:
    """With what may be wrong."""
    with pytest.raises(ServiceError, match="is a worker running"):
        _probe(_Feed(personal=True, lag=10**9)).visit(0)


def test_percentiles_of_nothing_are_not_numbers() -> None:
    """Rather than a flattering zero."""
    assert math.isnan(Latencies().percentiles()["p99"])
    assert Latencies([1.0, 2.0, 3.0]).percentiles() == {"p50": 2.0, "p99": 2.98}
