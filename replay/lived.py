"""A log lived in this process: the folds and the funnel of the product, on state in memory.

Law: nothing is imitated. Events go through the shells of the folds, their deltas through the item
fold, what changed into serving's table, and a request through the stages of the funnel; only Kafka
and Redis are dictionaries. A request sees all events before it, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import FreshetError, RequestError
from freshet.core.events.codec import decode_item, encode
from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from freshet.core.state.past import page_fields
from freshet.core.state.records import unpack_items, unpack_users
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.registry import Registry
from online_models.features import FEATURES
from online_models.training.log import TrainingLog
from serving.answer import Answer, Query, RankQuery
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.live_bundle import BoundBundle, LiveBundle
from serving.moment import State, hydrate
from serving.pipeline import FunnelResult, funnel, rank_items, recommend
from serving.ranking import slate_probabilities, task_scores
from serving.source_weights import SourceWeights
from serving.user_notices import UserNotices
from serving.user_sessions import UserSessions
from serving.user_state import UserState, user_state
from streams.catalog_shell import CatalogShell
from streams.fold_shell import FoldContext, FoldShell
from streams.item_shell import ItemShell
from streams.item_vectors import LiveVectors, vector_table
from streams.memory_store import MemoryStore
from streams.record_batch import RecordBatch
from streams.user_shell import UserShell

MOST_AT_ONCE: Final = 2_000  # events of a round
STANDINGS_EVENTS: Final = 100  # who leads for everyone is computed again after so many

_ONE: Final = 0  # the only partition
_NO_FOLDER: Final = Path("/nonexistent")  # bundles are handed over, not looked for
_NO_DEADLINE_MS: Final = 10_000
_UNNAMED: Final = "-"  # the request id of an answer that nobody gets
T = TypeVar("T")


Asked = FunnelResult
"""A request, stage by stage."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Items that others chose, as the product ranks them.

    Attributes:
        scores: (n,) probabilities of a click by the ranker; else the fused source scores; nan for
            an item that is not offered.
        by_ranker: whether they are the ranker's.
        features: (n, F) float16, as they are logged, nan for an item that is not offered; None
            where there are none.
    """

    scores: NDArray[np.float64]
    by_ranker: bool
    features: NDArray[np.float16] | None = None


class LivedLog:
    """Lives a log up to any event, and answers requests there.

    Args:
        log: the log as arrays.
        events: (n,) its events, in the same order.
        settings: of the installation; one partition and no deadline are put in their place.

    Attributes:
        now: events that have happened.
    """

    def __init__(self, log: TrainingLog, events: Sequence[Event], settings: Settings) -> None:
        self.log = log
        self.now = 0
        settings = msgspec.structs.replace(settings, partitions=1, deadline_ms=_NO_DEADLINE_MS)
        self._keys = Keys(settings.namespace)
        self._events = events  # encoded when they happen, so that many lives can share a log
        self._store = MemoryStore()
        self._produced = _Produced(Topics(settings.namespace))
        producer = cast(EventProducer, self._produced)
        context = FoldContext(settings, 1, self._store, producer, self._clock, metered=False)
        self._vectors = LiveVectors(_NO_FOLDER)
        self._user_fold = UserShell(context, self._vectors)
        self._item_fold = ItemShell(context)
        self._catalog_fold = CatalogShell(context)
        self._read: dict[str, int] = {}
        self._table = ItemTable(len(log.items))
        items = ItemState(self._table, self._clock)
        items.following = True
        self._live = LiveBundle(Registry(_NO_FOLDER), self._table)
        users = _Users(self._store, self._keys)
        self._sessions = UserSessions(self._table)
        self._sources = SourceWeights(self._clock)
        self._state = State(
            settings, users, items, self._live, UserNotices(), self._sessions, self._sources
        )
        other_values = {name for name in Settings.__struct_fields__ if name.startswith("value_")}
        clicks = msgspec.structs.replace(
            settings, **dict.fromkeys({*other_values, "rejection_weight"}, 0.0)
        )
        self._state_of_clicks = replace(self._state, settings=clicks)
        self._standings_at = -STANDINGS_EVENTS
        exists_from = log.exists_from()
        self._by_existence = np.argsort(exists_from, kind="stable")
        self._exists_from = exists_from[self._by_existence]  # ascending
        self._offered = 0
        self._row_of_id = {item.item_id: row for row, item in enumerate(log.items)}
        self._log_rows = np.full(len(log.items), -1)  # by row of the table
        self._mapped = 0
        self._loop = asyncio.new_event_loop()
        for fold in (self._user_fold, self._item_fold, self._catalog_fold):
            self._wait(fold.start(_ONE, 0))

    @property
    def refused(self) -> int:
        """Records that the folds refused."""
        return self._produced.refused

    def use(self, bundle: Bundle) -> None:
        """Use a bundle from now on, in the folds and in the funnel."""
        items = bundle.items
        self._vectors.current = vector_table(items.tag, items.hashes, items.vectors)
        bound = BoundBundle(bundle)
        bound.bind(self._table.ids)
        self._live.current = bound
        self._wait(self._live.embed_new_items())

    def live(self, end: int) -> None:
        """Let everything happen up to, and without, an event.

        Raises:
            ValueError: when it has happened already: a request there would see its own future.
        """
        if end < self.now:
            raise ValueError(f"{self.now} events have happened, {end} were asked for")
        while self.now < end:
            start, self.now = self.now, min(self.now + MOST_AT_ONCE, end)
            ts_ms = self.log.ts_ms[start : self.now].tolist()
            values = [encode(event) for event in self._events[start : self.now]]
            self._fold(self._user_fold, values, ts_ms)
            deltas = self._produced.take_deltas()
            self._fold(self._item_fold, deltas, [self._clock()] * len(deltas))
        self._offer(end)
        self._take_changes()

    def ask(self, event: int, k: int) -> Asked | None:
        """Return what the product answers now to the user of an event; None for nothing at all.

        Args:
            event: whose user asks.
            k: items wanted.
        """
        self._refresh_standings()
        query = Query(user=self._events[event].user_id, k=k)
        moment = self._wait(hydrate(self._state, query.user, None))
        try:
            asked = funnel(moment, query)
        except FreshetError:  # nothing is offered yet
            return None
        self._sources.note(moment, asked.ranked.union, query)
        return asked

    def recommend(self, user_id: str, k: int, rng: np.random.Generator) -> Answer:
        """Return the answer that the server gives now to a user.

        Unlike `ask` it is the whole of it, with the slots that the bandit draws.

        Args:
            user_id: who asks; need not be known.
            k: items wanted.
            rng: of the exploration.

        Raises:
            RequestError: the user rejected every item.
            ServiceError: nothing is offered yet.
        """
        self._refresh_standings()
        query = Query(user=user_id, k=k)
        return self._wait(recommend(self._state, query, _UNNAMED, rng)).answer

    def rank(self, event: int, rows: NDArray[np.int64], *, by_clicks: bool = True) -> Scored:
        """Return how the product ranks now, for the user of an event, items that others chose.

        Who leads for everyone stays as it was when `ask` last computed it, so that no later answer
        depends on this one.

        Args:
            event: whose user asks.
            rows: (n,) distinct rows of the log.
            by_clicks: by clicks alone, whatever else the installation values.
        """
        ids = [self.log.items[row].item_id for row in rows.tolist()]
        query = RankQuery(user=self._events[event].user_id, items=ids)
        scores = np.full(len(rows), np.nan)
        try:
            state = self._state_of_clicks if by_clicks else self._state
            served = self._wait(rank_items(state, query, _UNNAMED))
        except RequestError:  # nothing of it is offered yet
            return Scored(scores, by_ranker=False)
        answer, place = served.answer, {item_id: at for at, item_id in enumerate(ids)}
        places = [place[item.item_id] for item in answer.items]
        scores[places] = [item.score for item in answer.items]
        features = None
        if served.features:
            features = np.full((len(rows), len(FEATURES)), np.nan, np.float16)
            features[places] = np.frombuffer(served.features, "<f2").reshape(len(places), -1)
        by_ranker = answer.quality in {"full", "partial"}
        if by_clicks and by_ranker and features is not None:
            self._restore_rejected(scores, features)
        return Scored(scores, by_ranker, features)

    def _restore_rejected(self, scores: NDArray[np.float64], features: NDArray[np.float16]) -> None:
        """Put the probability of a click where an item scores 0 because its user rejected it.

        The product hides such an item; what its ranker predicts of it is no certainty.
        """
        rejected, bound = np.flatnonzero(scores == 0), self._live.current
        if len(rejected) and bound is not None:
            ranked = np.flatnonzero(np.isfinite(scores))
            predicted = bound.bundle.probabilities(features[ranked].astype(np.float32))
            found = task_scores(slate_probabilities(predicted), self._state_of_clicks.settings)
            scores[rejected] = found[np.isin(ranked, rejected)]

    def log_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows in the log of rows of the table."""
        return self._log_rows[rows]

    def close(self) -> None:
        """End the loop that the folds run in."""
        self._loop.close()

    # --- living ---

    def _clock(self) -> int:
        return int(self.log.ts_ms[max(self.now - 1, 0)])

    def _refresh_standings(self) -> None:
        if self.now - self._standings_at >= STANDINGS_EVENTS:
            self._state.items.refresh()
            self._standings_at = self.now

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(answer)

    def _fold(
        self,
        fold: FoldShell[Any, Any],
        values: Sequence[bytes | None],
        ts_ms: Sequence[int],
        keys: Sequence[bytes | None] = (),
    ) -> None:
        if not values:
            return
        start = self._read.get(fold.name, 0)
        end = self._read[fold.name] = start + len(values)
        keys = keys or [None] * len(values)
        batch = RecordBatch(fold.topic, _ONE, start, range(start, end), keys, values, ts_ms)
        self._wait(fold.apply([batch]))

    def _offer(self, end: int) -> None:
        """Put what exists by now into the catalogue."""
        last = int(np.searchsorted(self._exists_from, end, side="right"))
        if last == self._offered:
            return
        rows, self._offered = self._by_existence[self._offered : last].tolist(), last
        items = [self.log.items[row] for row in rows]
        self._fold(
            self._catalog_fold,
            [msgspec.json.encode(item) for item in items],
            [self._clock()] * len(items),
            [item.item_id.encode() for item in items],
        )
        self._take_changes()
        self._wait(self._live.embed_new_items())

    def _take_changes(self) -> None:
        """Take what changed into table and sessions, as the followers do."""
        told_of = ("items", "covisits", "catalog", "users")
        names: dict[str, dict[Any, None]] = {what: {} for what in told_of}
        for _, told in self._store.changes:
            for what in names.keys() & told.keys():
                names[what].update(dict.fromkeys(told[what]))
        self._store.changes.clear()
        table, hashes, keys = self._table, self._store.hashes, self._keys
        if items := list(names["items"]):
            records = hashes[keys.items(_ONE)]
            table.put_records(items, unpack_items([records[name] for name in items]))
        if covisits := list(names["covisits"]):
            samples = hashes[keys.covisits(_ONE)]
            table.put_covisits(covisits, [samples[str(value)] for value in covisits])
        if catalog := list(names["catalog"]):
            entries = hashes[keys.catalog(_ONE)]
            table.offer([decode_item(entries[name]) for name in catalog])
        if users := list(names["users"]):
            records = hashes[keys.users(_ONE)]
            changed = unpack_users([records[name] for name in users])
            self._sources.settle(users, changed)
            self._sessions.put(users, changed)
        new = table.ids[self._mapped :]
        self._log_rows[self._mapped : table.size] = [self._row_of_id[name] for name in new]
        self._mapped = table.size


class _Users:
    """User records of the store, as serving reads them."""

    def __init__(self, store: MemoryStore, keys: Keys) -> None:
        self._store = store
        self._wanted = keys.users(_ONE), keys.unwanted(_ONE), keys.past(_ONE)

    async def get(self, user_id: str) -> UserState:
        users, unwanted, past = self._wanted
        fields = [(users, [user_id]), (unwanted, [user_id]), (past, page_fields(user_id))]
        (record,), (rejected,), pages = await self._store.fields(fields)
        return user_state([record, rejected, *pages])

    def remembered(self, _user_id: str) -> UserState | None:
        return None


class _Produced:
    """Takes what the folds produce: keeps the deltas, counts what was refused."""

    def __init__(self, topics: Topics) -> None:
        self.refused = 0
        self._topics = topics
        self._deltas: list[bytes | None] = []

    async def deliver(self, records: Sequence[Record], _timeout_s: float = 5) -> list[str | None]:
        for record in records:
            if record.topic == self._topics.item_deltas:
                self._deltas.append(record.value)
            self.refused += record.topic == self._topics.dead_letters
        return [None] * len(records)

    def take_deltas(self) -> list[bytes | None]:
        """Return the deltas that were produced since they were last taken, in order."""
        taken, self._deltas = self._deltas, []
        return taken
