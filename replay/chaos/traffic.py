"""What is sent in a chaos run, and what the state must say of it in the end. Pure.

Events of known people and items, out of the order of their times, some of them twice, also
thousands of events later and a hundred at once, as clients send what was not answered. Rejections
and what takes them back, the same again and again by the same people, and among them poison:
records that must end as dead letters, each for a known reason. Poison carries its reason in a
header of the record, which the product does not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from freshet.core.clock import Clock
from freshet.core.events.codec import (
    ABSURD_TIME,
    EMPTY,
    INVALID,
    TOO_LARGE,
    UNDECODABLE,
    UNKNOWN_TYPE,
    encode,
)
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.events.schema import EVENT_TYPES, LATEST_TS_MS, MAX_EVENT_BYTES, Event
from freshet.core.settings import Settings
from replay.audit import Ledger
from streams.partition_events import WRONG_PARTITION

POISON_HEADER: Final = "chaos.poison"
USERS, ITEMS = 200, 60
MOST_STARS = 5  # of a rating, from 1: some are dislikes
COPIES = 0.03  # share of records that are sent a second time, one by one
BULKS = 0.0003  # share of records with which a whole request is sent a second time
BULK = 100  # records of such a request
POISON = 0.01  # share of records that are no events
NEAR = 200  # events back of half the copies, one by one
FAR = 20_000  # events back of the others: minutes; the state remembers more
OUT_OF_ORDER_MS = 1_800_000


def _edit(event: dict[str, Any], **changed: Any) -> bytes:
    return msgspec.json.encode({**event, **changed})


Spoil = Callable[[dict[str, Any]], bytes | None]

POISONS: Final[tuple[tuple[str, Spoil], ...]] = (
    (EMPTY, lambda _: None),
    (EMPTY, lambda _: b""),
    (TOO_LARGE, lambda event: _edit(event, context={"text": "x" * MAX_EVENT_BYTES})),
    (UNDECODABLE, lambda event: msgspec.json.encode(event)[:-1]),
    (UNDECODABLE, lambda event: _edit(event).replace(b"poisoned", b"\xff\xfe")),
    (UNDECODABLE, lambda event: _edit(event)[:-1] + b',"context":{"a":' + b"[" * 8000),
    (UNKNOWN_TYPE, lambda event: _edit(event, type="sneeze")),
    (ABSURD_TIME, lambda event: _edit(event, ts_ms=0)),
    (ABSURD_TIME, lambda event: _edit(event, ts_ms=LATEST_TS_MS + 1)),
    (INVALID, lambda event: msgspec.json.encode([event])),
    (INVALID, lambda event: _edit(event, user_id="")),
    (INVALID, lambda event: _edit(event, value="much")),
    (INVALID, lambda event: msgspec.json.encode({"type": event["type"]})),
    (WRONG_PARTITION, _edit),
)
"""Ways to spoil an event, and the reason for which each is refused."""


class Traffic:
    """Makes records and keeps the truth of them.

    Attributes:
        users: what was sent of each person.
        items: what was sent of each item.

    Args:
        rng: draws everything.
        topic: of the events.
        partitions: of the topic.
        clock: event times lie up to `OUT_OF_ORDER_MS` before it.
        low_rating: the setting of the installation.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        topic: str,
        partitions: int,
        clock: Clock,
        low_rating: float = Settings().low_rating,
    ) -> None:
        self.users = Ledger(low_rating=low_rating)
        self.items = Ledger(of=attrgetter("item_id"), low_rating=low_rating)
        self.events = 0
        self._rng = rng
        self._topic = topic
        self._partitions = partitions
        self._clock = clock
        self._sent: deque[Record] = deque(maxlen=FAR)
        self._again: deque[Record] = deque()
        self._poisoned = 0

    def chunk(self, count: int) -> list[Record]:
        """Return the next records, in the order in which they are to be sent."""
        draws = self._rng.random(count).tolist()
        return [self._next(draw) for draw in draws]

    def _next(self, draw: float) -> Record:
        if self._again:
            return self._again.popleft()
        if draw < POISON:
            return self._poison()
        if draw < POISON + COPIES and self._sent:
            return self._copy()
        if draw < POISON + COPIES + BULKS and len(self._sent) >= BULK:
            self._again.extend(self._request())
            return self._again.popleft()
        return self._event()

    def _event(self) -> Record:
        rng = self._rng
        user_id = f"user-{rng.integers(USERS)}"
        event = self._any_event(f"e{self.events}", user_id)
        self.events += 1
        self.users.note([event])
        self.items.note([event])
        where = partition_of(user_id, self._partitions)
        record = Record(self._topic, where, user_id.encode(), encode(event))
        self._sent.append(record)
        return record

    def _copy(self) -> Record:
        """Return a record again: a client that got no answer and sends the same once more."""
        back = NEAR if self._rng.random() < 0.5 else FAR
        return self._sent[-1 - int(self._rng.integers(min(back, len(self._sent))))]

    def _request(self) -> list[Record]:
        """Return records that followed each other, as they were: a whole request again."""
        first = int(self._rng.integers(len(self._sent) - BULK + 1))
        return list(islice(self._sent, first, first + BULK))

    def _poison(self) -> Record:
        reason, spoil = POISONS[self._poisoned % len(POISONS)]
        user_id = f"poisoned-{self._poisoned}"
        event = msgspec.to_builtins(self._any_event(f"p{self._poisoned}", user_id))
        self._poisoned += 1
        where = partition_of(user_id, self._partitions)
        if reason == WRONG_PARTITION:
            where = (where + 1) % self._partitions
        header = (POISON_HEADER, reason.encode())
        return Record(self._topic, where, user_id.encode(), spoil(event), [header])

    def _any_event(self, event_id: str, user_id: str) -> Event:
        rng = self._rng
        kind: Any = EVENT_TYPES[rng.integers(len(EVENT_TYPES))]
        return Event(
            event_id=event_id,
            type=kind,
            value=float(rng.integers(1, MOST_STARS + 1)) if kind == "rating" else None,
            user_id=user_id,
            item_id=f"item-{int(rng.zipf(1.5)) % ITEMS}",
            ts_ms=self._clock() - int(rng.integers(OUT_OF_ORDER_MS)),
        )
