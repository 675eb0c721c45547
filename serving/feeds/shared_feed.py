"""One feed, shared by all sockets that ask for the same, and what is known of its list.

Law: decisions only. `serving.feeds.hub` reads, computes and waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from freshet.core.state.records import interactions
from serving.answer import Query
from serving.feeds.mailbox import Mailbox, Push
from serving.stages import Stages
from serving.user_state import UserState

FIRST_RETRY_S: Final = 0.1
MAX_RETRY_S: Final = 5.0  # for a read, which is cheap
MAX_COMPUTED_RETRY_S: Final = 60.0  # for a whole list, which is not
PATIENT_TRIES: Final = 4  # reads; then a list is sent that rests on an older state, and says so

Fingerprint = tuple[int, bytes, bytes, tuple[str, ...]]


class Reason(Enum):
    """Why a list is made now."""

    CHANGE = auto()  # all sockets hold another one
    RETRY = auto()  # something was missing from what they hold
    NEWCOMER = auto()  # a socket holds none


def fingerprint(user: UserState) -> Fingerprint:
    """Return what makes a list of a user another one: all of their state but impressions.

    A push for an impression would make more of them.
    """
    record = user.record
    history, unwanted = record["history"].tobytes(), user.unwanted.tobytes()
    return int(interactions(record)), history, unwanted, user.damaged


def missing_of(stages: Stages) -> frozenset[str]:
    """Return what was missing from a list and may be there at the next try.

    A model that is not there, or a list of seen items, is no reason to try again.
    """
    failed = {"user_state" if name == "hydrate" else name for name, _ in stages.failures}
    return frozenset(failed | ({"item_state"} & set(stages.degraded)))


class SharedFeed:
    """A query, its sockets, and the list that they hold.

    Attributes:
        query: what the sockets ask for.
        mailboxes: of the sockets.
        user: fingerprint of the user that the list rests on; None where it was not read.
        missing: what was missing from the list; see `missing_of`.
        empty: whether no list could be made.
        stale: whether the list must be replaced, whatever the user's state is.
        unread: whether the user could not be read at the last look.
        tries: how often it was tried again since the sockets held a whole list.
        busy: whether it is being looked at.
        again: whether it must be looked at once more after that.
        retry: the timer of the next try.
    """

    def __init__(self, query: Query) -> None:
        self.query = query
        self.mailboxes: set[Mailbox] = set()
        self.user: Fingerprint | None = None
        self.missing: frozenset[str] = frozenset()
        self.empty = False
        self.stale = False
        self.unread = False
        self.tries = 0
        self.busy = False
        self.again = False
        self.retry: asyncio.TimerHandle | None = None

    # --- deciding ---

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to try again."""
        return not (self.unread or self.missing or self.empty or self.stale)

    def reason(self, user: UserState | None, *, items_followed: bool) -> Reason | None:
        """Return why a list should be made now; None when all sockets hold what they can.

        Args:
            user: as just read; None when that failed.
            items_followed: whether the item state follows its changes.
        """
        if self.stale or self.empty:
            return Reason.CHANGE
        if user is None:
            if self.user is not None and self.tries >= PATIENT_TRIES:
                return Reason.CHANGE
        elif self.user != fingerprint(user):
            return Reason.CHANGE
        elif self.missing and (items_followed or "item_state" not in self.missing):
            return Reason.RETRY
        return Reason.NEWCOMER if any(box.waits for box in self.mailboxes) else None

    def retry_after_s(self) -> float:
        """Return how long to wait before the next try, s."""
        computed = self.empty or self.missing - {"user_state", "item_state"}
        longest_s = MAX_COMPUTED_RETRY_S if computed else MAX_RETRY_S
        return min(FIRST_RETRY_S * 2.0 ** min(self.tries, 20), longest_s)

    def shows_any_of(self, item_ids: Iterable[str]) -> bool:
        """Return whether a socket holds a list with one of these items."""
        return any(not mailbox.item_ids.isdisjoint(item_ids) for mailbox in self.mailboxes)

    # --- what was made ---

    def show(self, push: Push, reason: Reason, user: UserState, missing: frozenset[str]) -> None:
        """Deliver a list to the sockets for which it is news.

        Args:
            push: holds the list.
            reason: why it was made.
            user: that it rests on.
            missing: from it; see `missing_of`.
        """
        better = missing < self.missing
        self._deliver(push, to_all=reason is Reason.CHANGE or (reason is Reason.RETRY and better))
        self.user = None if "user_state" in missing else fingerprint(user)
        self.missing, self.empty = missing, False

    def show_nothing(self, detail: str) -> None:
        """Deliver that there is no list, to the sockets that do not know it yet."""
        self._deliver(Push(None, detail), to_all=not self.empty)
        self.user, self.missing, self.empty = None, frozenset(), True

    def close_newcomers(self, error: Exception) -> None:
        """End the sockets that hold nothing yet with an error."""
        for mailbox in self.mailboxes:
            if mailbox.waits:
                mailbox.close(error)

    def close(self, error: Exception) -> None:
        """End all sockets with an error."""
        for mailbox in self.mailboxes:
            mailbox.close(error)

    def _deliver(self, push: Push, *, to_all: bool) -> None:
        for mailbox in self.mailboxes:
            if to_all or mailbox.waits:
                mailbox.put(push)
