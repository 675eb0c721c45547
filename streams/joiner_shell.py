"""Answers and their outcomes from Kafka into examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from freshet.core.errors import EventError
from freshet.core.events.codec import EMPTY, UNDECODABLE
from freshet.core.events.examples import encode_example
from freshet.core.events.producer import Record
from freshet.core.events.schema import Slate
from freshet.core.metrics import (
    EVENTS_APPLIED,
    EVENTS_DUPLICATE,
    OUTCOMES_JOINED,
    SLATES_JOINED,
)
from freshet.core.state.readable import readable_fields
from streams.fold_shell import FoldContext, FoldShell
from streams.joiner import (
    OUTCOME_COUNTS,
    SLATE_COUNTS,
    Joined,
    Joiner,
    decode_waiting,
    encode_waiting,
    require_outcomes,
)
from streams.outcomes import decode_outcomes
from streams.packed import Packed
from streams.record_batch import RecordBatch
from streams.state_loss import Held
from streams.store import Changes, Move, Write, all_fields

MOST_SLATE_BYTES = 400_000

_SLATE_DECODER = msgspec.json.Decoder(Slate)


@dataclass(frozen=True, slots=True)
class FoldedSlates:
    """A round, folded: dead letters and examples to produce, then partitions to write."""

    records: list[Record]
    writes: list[Write]
    counts: Counter[str]
    applied: int


class JoinerShell(FoldShell[FoldedSlates, tuple[()]]):
    """Joins the answers in `slates` with what people did, which the user fold tells there too.

    All that waits of a partition is held in memory: it is bounded, and read again only when the
    partition is assigned anew.
    """

    name = "slates"

    def __init__(self, context: FoldContext) -> None:
        super().__init__(context)
        self._joiners: dict[int, Joiner] = {}

    @property
    def topic(self) -> str:
        """The topic of answers."""
        return self.context.topics.slates

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.slate_position(partition)

    def held(self, partition: int) -> Held:
        """Return what is kept of a partition beside its position."""
        keys = self.context.keys
        return Held([keys.slates(partition), keys.outcomes(partition)])

    @property
    def most_bytes(self) -> int | None:
        """Answers are large: some sixty of them make a millisecond of script."""
        return MOST_SLATE_BYTES

    def _new_cache(self) -> tuple[()]:
        return ()  # a partition is held whole, or not at all

    async def _load(self, partition: int) -> None:
        keys, settings = self.context.keys, self.context.settings
        position = await self.context.store.position(self.position_key(partition))
        joiner = Joiner(
            window_ms=1000 * settings.join_window_s,
            most=settings.join_slates,
            now_ms=position.get("watermark_ts_ms", 0),
            passed=position.get("passed", 0),
        )
        store = self.context.store
        slates = await all_fields(store, keys.slates(partition))
        outcomes = await all_fields(store, keys.outcomes(partition))
        joiner.load(
            readable_fields("slates", keys.slates(partition), slates, decode_waiting),
            readable_fields("outcomes", keys.outcomes(partition), outcomes, require_outcomes),
        )
        self._joiners[partition] = joiner

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedSlates:
        records: list[Record] = []
        writes: list[Write] = []
        counts: Counter[str] = Counter()
        applied = 0
        for batch in batches:
            joiner = self._joiners[batch.partition]
            letters = self._take(batch, joiner)
            joined = joiner.collect()
            examples = [encode_example(example) for example in joined.examples]
            topic = self.context.topics.examples
            records += [Record(topic, batch.partition, None, value) for value in examples]
            records += letters
            writes.append(self._moved(batch, joiner, joined, rejected=len(letters)))
            counts.update(joined.counts)
            applied += len(batch) - len(letters)
        return FoldedSlates(records, writes, counts, applied)

    def _take(self, batch: RecordBatch, joiner: Joiner) -> list[Record]:
        """Give the records of a batch to the joiner; return the dead letters of those it cannot."""
        letters = []
        for index, (offset, value) in enumerate(zip(batch.offsets, batch.values, strict=True)):
            try:
                if not value:
                    raise EventError(EMPTY, "the record has no value")
                if value.startswith(b"{"):
                    joiner.take_slate(_SLATE_DECODER.decode(value), offset)
                else:
                    joiner.take_outcomes(decode_outcomes(value), offset)
            except EventError as error:
                letters.append(self._dead_letter(batch, index, error))
            except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
                rejected = EventError(UNDECODABLE, f"no slate and no outcomes: {error}")
                letters.append(self._dead_letter(batch, index, rejected))
        return letters

    def _moved(self, batch: RecordBatch, joiner: Joiner, joined: Joined, *, rejected: int) -> Write:
        """Move the position in memory, and return what takes Redis there."""
        partition, keys = batch.partition, self.context.keys
        state = self._states[partition]
        counted = {name: joined.counts[name] for name in (*SLATE_COUNTS, "duplicates")}
        position = state.moved(
            batch.end, applied=len(batch) - rejected, rejected=rejected, **counted
        )
        position |= {"watermark_ts_ms": joiner.now_ms, "passed": joiner.passed}
        move = Move(
            self.position_key(partition), keys.user_changes(partition), state.next, position
        )
        state.position = position
        waiting = {
            name: encode_waiting(joiner.slates[name])
            for name in sorted(joined.slates & joiner.slates.keys())
        }
        outcomes = {
            name: joiner.outcomes[name] for name in sorted(joined.outcomes & joiner.outcomes.keys())
        }
        changes = [
            _changes(keys.slates(partition), joined.slates, waiting),
            _changes(keys.outcomes(partition), joined.outcomes, outcomes),
        ]
        return Write(move, changes, {})

    async def _write(self, folded: FoldedSlates) -> None:
        await self._deliver(folded.records)
        await self._apply_writes(folded.writes)

    def _count(self, folded: FoldedSlates) -> None:
        EVENTS_APPLIED.labels(self.name).inc(folded.applied)
        EVENTS_DUPLICATE.labels("outcome").inc(folded.counts["duplicates"])
        for name in SLATE_COUNTS:
            SLATES_JOINED.labels(name).inc(folded.counts[name])
        for name in OUTCOME_COUNTS:
            OUTCOMES_JOINED.labels(name).inc(folded.counts[name])


def _changes(key: str, touched: set[str], present: dict[str, bytes]) -> Changes:
    """Return what some fields become: their new values, or nothing."""
    gone = sorted(touched - present.keys())
    return Changes(key, list(present), Packed.of(list(present.values())), gone)
