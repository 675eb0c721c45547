"""What is sent in a chaos run. Pure.

Events of known people and items, out of the order of their times, some of them twice, also
thousands of events later and a hundred at once, as clients send what was not answered. Rejections
and what takes them back, the same again and again by the same people, and among them poison:
records that must end as dead letters, each for a known reason. Poison carries its reason in a
header of the record, which the product does not read. The catalogue changes meanwhile, users are
erased, and answers wait for events that name them; see `other_records`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
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
from freshet.core.events.topics import Topics
from replay.chaos import other_records
from replay.chaos.vectors import ITEMS, item_name
from streams.partition_events import WRONG_PARTITION

POISON_HEADER: Final = "chaos.poison"
EVENT_PREFIX: Final = "sent-"  # of the ids of events; a number follows
USERS = 200
MOST_STARS = 5  # of a rating, from 1: some are dislikes
COPIES = 0.03  # share of records that are sent a second time, one by one
BULKS = 0.0003  # share of records with which a whole request is sent a second time
BULK = 100  # records of such a request
POISON = 0.01  # share of records that are no events
NEAR = 200  # events back of half the copies, one by one
FAR = 20_000  # events back of the others: minutes; the state remembers more
CATALOGUE = 0.01  # share of records that change the catalogue
ANSWERS = 0.01  # share of records that are answers; what users do with them follows
ERASURES = 0.0005  # share of records that erase a user
LEAVERS = 10  # users who act for a while, are erased and never come back
LEAVING = 0.05  # share of events that are theirs
MOST_RESPONSES = 3  # events that name an answer
BURST = 4_500  # events of a burst, each of a user of its own: all in one partition
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
    """Makes records.

    Args:
        rng: draws everything.
        topics: of the installation.
        partitions: of the topics.
        clock: event times lie up to `OUT_OF_ORDER_MS` before it.

    Attributes:
        events: that were made; the ids of them are numbered from 0.
    """

    def __init__(
        self, rng: np.random.Generator, topics: Topics, partitions: int, clock: Clock
    ) -> None:
        self.events = 0
        self._rng = rng
        self._topics = topics
        self._partitions = partitions
        self._clock = clock
        self._sent: deque[Record] = deque(maxlen=FAR)
        self._again: deque[Record] = deque()
        self._poisoned = 0
        self._answers = 0
        self._erased = 0
        self._bursts = 0
        self._leavers = [f"leaver-{number}" for number in range(LEAVERS)]
        self._left = 0

    def opening(self) -> list[Record]:
        """Return what is to be sent first: a whole catalogue."""
        return other_records.catalogue(self._topics, self._partitions)

    def chunk(self, count: int) -> list[Record]:
        """Return the next records, in the order in which they are to be sent; a few more at times.

        Args:
            count: how many at least.
        """
        draws = self._rng.random(count).tolist()
        return [record for draw in draws for record in self._next(draw)]

    def burst(self) -> list[Record]:
        """Return events of newcomers, all of one partition, each on an item of its own.

        They come into one batch, and into more arguments of Redis than a command takes at once.
        """
        where = int(self._rng.integers(self._partitions))
        records: list[Record] = []
        number = 0
        while len(records) < BURST:
            user_id = f"newcomer-{self._bursts}-{number}"
            number += 1
            if partition_of(user_id, self._partitions) == where:
                item_id = f"newcome-{self._bursts}-{len(records)}"
                records.append(self._record(self._made(user_id, item_id, "click")))
        self._bursts += 1
        return records

    def _next(self, draw: float) -> list[Record]:
        """Return what a draw from [0, 1) comes to."""
        if self._again:
            return [self._again.popleft()]
        kinds: tuple[tuple[float, Callable[[], list[Record]]], ...] = (
            (POISON, lambda: [self._poison()]),
            (COPIES if self._sent else 0.0, lambda: [self._copy()]),
            (BULKS if len(self._sent) >= BULK else 0.0, self._request),
            (CATALOGUE, self._change),
            (ANSWERS, self._answer),
            (ERASURES, self._erase),
        )
        for share, make in kinds:
            if draw < share:
                return make()
            draw -= share
        return [self._event()]

    def _change(self) -> list[Record]:
        return [other_records.catalogue_change(self._rng, self._topics, self._partitions)]

    def _answer(self) -> list[Record]:
        """Return an answer, and what its user does with it."""
        rng, user_id = self._rng, self._user()
        drawn = rng.choice(ITEMS, other_records.SLOTS, replace=False).tolist()
        items = [item_name(number) for number in drawn]
        request_id, now_ms = f"answer-{self._answers}", self._clock()
        self._answers += 1
        slate = other_records.answer(
            self._topics, self._partitions, user_id, request_id, items, now_ms
        )
        responses = []
        for item_id in rng.choice(items, rng.integers(MOST_RESPONSES + 1)).tolist():
            event = self._made(user_id, item_id, self._type())
            named = msgspec.structs.replace(event, request_id=request_id, ts_ms=now_ms)
            responses.append(self._noted(self._record(named)))
        return [slate, *responses]

    def _erase(self) -> list[Record]:
        """Return an erasure: of a leaver, who is heard of no more, or of somebody who goes on."""
        rng = self._rng
        if rng.random() < 0.5:
            at = int(rng.integers(LEAVERS))
            user_id = self._leavers[at]
            self._left += 1
            self._leavers[at] = f"leaver-{LEAVERS - 1 + self._left}"
        else:
            user_id = f"user-{rng.integers(USERS)}"
        self._erased += 1
        now_ms = self._clock()
        return [
            other_records.erasure(self._topics, self._partitions, user_id, now_ms, self._erased)
        ]

    def _event(self) -> Record:
        event = self._made(self._user(), self._item(), self._type())
        return self._noted(self._record(event))

    def _noted(self, record: Record) -> Record:
        """Return the record of an event that may be sent again."""
        self._sent.append(record)
        return record

    def _copy(self) -> Record:
        """Return a record again: a client that got no answer and sends the same once more."""
        back = NEAR if self._rng.random() < 0.5 else FAR
        return self._sent[-1 - int(self._rng.integers(min(back, len(self._sent))))]

    def _request(self) -> list[Record]:
        """Begin to send a whole request again: records that followed each other, as they were."""
        first = int(self._rng.integers(len(self._sent) - BULK + 1))
        self._again.extend(islice(self._sent, first, first + BULK))
        return [self._again.popleft()]

    def _poison(self) -> Record:
        reason, spoil = POISONS[self._poisoned % len(POISONS)]
        user_id = f"poisoned-{self._poisoned}"
        event = msgspec.to_builtins(
            self._drawn(f"p{self._poisoned}", user_id, self._item(), self._type())
        )
        self._poisoned += 1
        where = partition_of(user_id, self._partitions)
        if reason == WRONG_PARTITION:
            where = (where + 1) % self._partitions
        header = (POISON_HEADER, reason.encode())
        return Record(self._topics.events, where, user_id.encode(), spoil(event), [header])

    def _user(self) -> str:
        rng = self._rng
        if rng.random() < LEAVING:
            return self._leavers[rng.integers(LEAVERS)]
        return f"user-{rng.integers(USERS)}"

    def _item(self) -> str:
        return item_name(int(self._rng.zipf(1.5)) % ITEMS)

    def _type(self) -> str:
        return EVENT_TYPES[self._rng.integers(len(EVENT_TYPES))]

    def _made(self, user_id: str, item_id: str, kind: str) -> Event:
        """Return the next event of those that count."""
        event = self._drawn(f"{EVENT_PREFIX}{self.events}", user_id, item_id, kind)
        self.events += 1
        return event

    def _drawn(self, event_id: str, user_id: str, item_id: str, kind: Any) -> Event:
        rng = self._rng
        return Event(
            event_id=event_id,
            type=kind,
            value=float(rng.integers(1, MOST_STARS + 1)) if kind == "rating" else None,
            user_id=user_id,
            item_id=item_id,
            ts_ms=self._clock() - int(rng.integers(OUT_OF_ORDER_MS)),
        )

    def _record(self, event: Event) -> Record:
        where = partition_of(event.user_id, self._partitions)
        return Record(self._topics.events, where, event.user_id.encode(), encode(event))
