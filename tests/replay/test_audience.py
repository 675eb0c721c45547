"""The simulated audience: clicks what its truth says, and follows fads."""

from typing import Any

import numpy as np
import pytest

from replay.audience import FAD_SHARE, Audience
from replay.generated_log import item_id
from replay.world import Plan, World, make_world
from serving.answer import Answer, AnswerItem, Query

PLAN = Plan(users=30, items=100)


class _Feed:
    """A feed that lists the same items for all."""

    def __init__(self, items: list[int]) -> None:
        self.items = items
        self.asked: list[Query] = []
        self.sent: list[Any] = []

    def send(self, events: Any) -> None:
        """Take events."""
        self.sent += events

    def recommend(self, query: Query) -> Answer:
        """Return the list."""
        self.asked.append(query)
        items = [
            AnswerItem(item_id=item_id(item), title="", categories=[], position=n, score=0.0,
                       source="s", reason="", propensity=1.0, explored=False)
            for n, item in enumerate(self.items)
        ]  # fmt: skip
        return Answer(request_id="r", user=query.user, model_version="m", as_of=None,
                      quality="full", degraded=[], policy="p", personalised=False,
                      consistent=None, took_ms=1.0, items=items)  # fmt: skip


def _audience(feed: Any) -> tuple[Audience, World]:
    world = make_world(PLAN, np.random.default_rng(1))
    clock = iter(range(1_700_000_000_000, 1_800_000_000_000))
    rng = np.random.default_rng(2)
    return Audience(world, feed, lambda: next(clock), rng, PLAN.span_s), world


def test_an_empty_list_is_no_error() -> None:
    """People come back."""
    feed = _Feed([])
    audience, _ = _audience(feed)
    for _ in range(20):
        assert audience.visit() == "m"
    assert len(feed.asked) == audience.visits == 20


def test_the_active_come_more_often() -> None:
    """The most active third comes more often than the least active third."""
    feed = _Feed([])
    audience, world = _audience(feed)
    for _ in range(300):
        audience.visit()
    visits = np.bincount([int(query.user[1:]) for query in feed.asked], minlength=PLAN.users)
    order = np.argsort(world.activity)
    assert visits[order[-10:]].sum() > 2 * visits[order[:10]].sum()


def test_clicks_are_as_frequent_as_the_truth_says() -> None:
    """Of lists without a predecessor, within 5 sigma (false alarm: 6e-7); fads come on top."""
    feed = _Feed([3, 4, 5])
    audience, world = _audience(feed)
    expected, spread = 0.0, 0.0
    for _ in range(400):
        audience._last.clear()
        audience.visit()
        user = int(feed.asked[-1].user[1:])
        chance = world.click_probability(
            np.full(3, user), np.array([3, 4, 5]), np.full(3, -1),
            positions=np.arange(3), time_s=np.full(3, PLAN.span_s),
        )  # fmt: skip
        expected += chance.sum() + FAD_SHARE
        spread += (chance * (1 - chance)).sum() + FAD_SHARE * (1 - FAD_SHARE)
    assert audience.clicks == sum(event.type == "click" for event in feed.sent)
    assert abs(audience.clicks - expected) < 5 * np.sqrt(spread)
    assert len({event.event_id for event in feed.sent}) == len(feed.sent)


def test_a_click_on_the_list_names_its_slot_and_a_fad_does_not() -> None:
    """So that only the list is credited for the list."""
    feed = _Feed([3, 4, 5])
    audience, _ = _audience(feed)
    for _ in range(100):
        audience.visit()
    from_list = [event for event in feed.sent if event.request_id]
    assert from_list
    assert all(event.item_id == item_id(feed.items[event.position]) for event in from_list)
    fads = [event.item_id for event in feed.sent if event.request_id is None]
    assert len(fads) == pytest.approx(100 * FAD_SHARE, abs=22)
    assert len(set(fads)) == 1


def test_what_fits_badly_is_hidden_now_and_then() -> None:
    """As often as the truth says, within 5 sigma (false alarm: 6e-7); each with its slot."""
    items = list(range(5))
    feed = _Feed(items)
    audience, world = _audience(feed)
    expected = 0.0
    for _ in range(800):
        audience._last.clear()
        audience.visit()
        person = np.full(5, int(feed.asked[-1].user[1:]))
        seen = {"positions": np.arange(5), "time_s": np.full(5, PLAN.span_s)}
        clicked = world.click_probability(person, np.array(items), np.full(5, -1), **seen)
        hidden = world.rejection_probability(person, np.array(items), **seen)
        expected += ((1 - clicked) * hidden).sum()
    hides = [event for event in feed.sent if event.type == "hide"]
    assert len(hides) == audience.hides
    assert abs(len(hides) - expected) < 5 * expected**0.5
    assert all(items[event.position] == int(event.item_id[1:]) for event in hides)
