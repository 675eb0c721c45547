"""One feed: why a list is made, who gets it, and when it is tried again."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.state.unwanted import UNWANTED_DTYPE
from serving.answer import Answer, Query
from serving.feeds.mailbox import Mailbox, Push
from serving.feeds.shared_feed import (
    MAX_COMPUTED_RETRY_S,
    MAX_RETRY_S,
    PATIENT_TRIES,
    Reason,
    SharedFeed,
    fingerprint,
    missing_of,
)
from serving.stages import Stages
from serving.user_state import UserState, cold_user

NOTHING: frozenset[str] = frozenset()
LIST = Push(
    Answer(
        request_id="r", user="ann", model_version="m", as_of=None, quality="full", degraded=[],
        policy="p", personalised=False, consistent=None, took_ms=1.0, items=[],
    )
)  # fmt: skip


@pytest.fixture
def feed() -> SharedFeed:
    """A feed whose two sockets hold a whole list of a new user."""
    feed = SharedFeed(Query(user="ann"))
    feed.mailboxes = {Mailbox(), Mailbox()}
    feed.show(LIST, Reason.CHANGE, cold_user(), NOTHING)
    return feed


def reason(feed: SharedFeed, user: UserState | None) -> Reason | None:
    """Return why a list should be made, while items are followed."""
    return feed.reason(user, items_followed=True)


def test_all_of_the_state_but_impressions_makes_a_list() -> None:
    """Interactions, the history, rejections, and what was damaged and is mended."""
    cold = cold_user()
    impressions = cold_user()
    impressions.record["type_counts"][0] = 9
    assert fingerprint(impressions) == fingerprint(cold)
    clicked = cold_user()
    clicked.record["type_counts"][1] = 1
    seen = cold_user()
    seen.record["history"][0]["item"] = 7
    rejected = UserState(cold.record, unwanted=np.array([(7, 200, 8)], UNWANTED_DTYPE))
    damaged = UserState(cold.record, damaged=("past",))
    prints = [fingerprint(each) for each in (cold, clicked, seen, rejected, damaged)]
    assert len(set(prints)) == 5


def test_what_may_come_by_itself_is_missing() -> None:
    """A model that is not there, or a list of seen items, is not."""
    stages = Stages(100)
    for word in ("model", "seen"):
        stages.left_out(word)
    assert missing_of(stages) == NOTHING
    stages.left_out("item_state")
    stages.failures += [("hydrate", "error"), ("rank", "deadline")]
    assert missing_of(stages) == {"user_state", "item_state", "rank"}


def test_a_whole_list_of_the_same_state_needs_no_other(feed: SharedFeed) -> None:
    """Only a change, a newcomer, or what made it stale."""
    assert feed.is_settled
    assert reason(feed, cold_user()) is None
    assert reason(feed, None) is None
    changed = cold_user()
    changed.record["type_counts"][1] = 1
    assert reason(feed, changed) is Reason.CHANGE
    feed.mailboxes.add(Mailbox())
    assert reason(feed, cold_user()) is Reason.NEWCOMER
    assert reason(feed, None) is Reason.NEWCOMER
    feed.stale = True
    assert not feed.is_settled
    assert reason(feed, None) is Reason.CHANGE


def test_a_list_that_lacked_something_is_made_again(feed: SharedFeed) -> None:
    """One without the item state not before that is there."""
    feed.show(LIST, Reason.RETRY, cold_user(), frozenset({"rank"}))
    assert not feed.is_settled
    assert reason(feed, cold_user()) is Reason.RETRY
    feed.show(LIST, Reason.RETRY, cold_user(), frozenset({"rank", "item_state"}))
    assert reason(feed, cold_user()) is Reason.RETRY
    assert feed.reason(cold_user(), items_followed=False) is None


def test_a_list_without_the_user_is_made_once_when_reads_have_failed_often(
    feed: SharedFeed,
) -> None:
    """The sockets hold a better one until then."""
    feed.tries = PATIENT_TRIES - 1
    assert reason(feed, None) is None
    feed.tries = PATIENT_TRIES
    assert reason(feed, None) is Reason.CHANGE
    feed.show(LIST, Reason.CHANGE, cold_user(), frozenset({"user_state"}))
    assert reason(feed, None) is None
    assert reason(feed, cold_user()) is Reason.CHANGE


@pytest.mark.parametrize(
    ("why", "missing", "to_all"),
    [
        (Reason.CHANGE, {"rank", "filter"}, True),
        (Reason.RETRY, {"rank", "filter"}, False),
        (Reason.RETRY, {"rank"}, True),
        (Reason.RETRY, {"explore"}, False),
        (Reason.RETRY, set(), True),
        (Reason.NEWCOMER, set(), False),
    ],
)
def test_a_list_goes_to_those_for_whom_it_is_news(
    feed: SharedFeed, why: Reason, missing: set[str], to_all: bool
) -> None:
    """The same again is none."""
    feed.show(LIST, Reason.CHANGE, cold_user(), frozenset({"rank", "filter"}))
    for mailbox in feed.mailboxes:
        mailbox._ready.clear()
    newcomer = Mailbox()
    holders = set(feed.mailboxes)
    feed.mailboxes.add(newcomer)
    feed.show(LIST, why, cold_user(), frozenset(missing))
    assert newcomer._ready.is_set()
    assert {mailbox._ready.is_set() for mailbox in holders} == {to_all}


def test_that_there_is_nothing_is_said_once(feed: SharedFeed) -> None:
    """And tried again for as long as it is so."""
    feed.show_nothing("rejected all")
    assert reason(feed, cold_user()) is Reason.CHANGE
    assert not feed.is_settled
    for mailbox in feed.mailboxes:
        mailbox._ready.clear()
    feed.show_nothing("rejected all")
    assert not any(mailbox._ready.is_set() for mailbox in feed.mailboxes)


def test_tries_come_later_and_later_up_to_a_bound(feed: SharedFeed) -> None:
    """A look at the state sooner than a whole list."""

    def delays() -> list[float]:
        found = []
        for feed.tries in range(40):
            found.append(feed.retry_after_s())
        return found

    feed.missing = frozenset({"user_state", "item_state"})
    assert delays()[:3] == [0.1, 0.2, 0.4]
    assert max(delays()) == MAX_RETRY_S
    feed.missing = frozenset({"rank"})
    assert max(delays()) == MAX_COMPUTED_RETRY_S
    feed.show_nothing("rejected all")
    assert max(delays()) == MAX_COMPUTED_RETRY_S
