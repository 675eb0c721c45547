"""The Faust app: one agent per fold, each reading whole batches.

Law: nothing that fails inside an agent may reach Faust, which would acknowledge the batch and go
on. Every error ends the process before that; the supervisor starts it again, and it reads on from
the position in Redis.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faust
from faust.types import TP

from freshet.core.settings import Settings
from streams.credentials import broker_credentials
from streams.exits import Fail
from streams.fold_shell import FoldShell
from streams.liveness import AssignedPositions
from streams.pace import IDLE_WAIT_MS
from streams.record_batch import RecordBatch
from streams.rounds import Rounds
from streams.transport import BatchSchema, batch_transport

SESSION_S = 10.0  # the group expels a member that is silent for so long
HEARTBEAT_S = 3.0


def create_app(
    settings: Settings,
    folds: Sequence[FoldShell[Any, Any]],
    *,
    fail: Fail,
    positions: AssignedPositions,
    instance_id: str | None = None,
    idle_wait_ms: int = IDLE_WAIT_MS,
) -> Any:
    """Return the app that feeds the folds; starting it joins the consumer group.

    Args:
        settings: of the installation.
        folds: the folds, each of a topic of its own.
        fail: ends the process; never returns.
        positions: is told which partitions are this worker's, and how far each has come.
        instance_id: name of this member of the consumer group. A worker that comes back under
            its name gets its partitions at once, not when its old session has timed out.
        idle_wait_ms: how long a fetch waits for the first record; see `streams.pace.idle_wait_ms`.
    """
    by_topic = {fold.topic: fold for fold in folds}

    async def start_offset(tp: TP, earliest: int) -> int:
        try:
            position = await by_topic[tp.topic].start(tp.partition, earliest)
        except Exception as error:
            fail(error)
        positions.move((by_topic[tp.topic].name, tp.partition), position)
        return position

    rounds = {fold.name: _rounds(fold, settings, fail, positions) for fold in folds}

    async def drain() -> None:
        await asyncio.gather(*[each.drain() for each in rounds.values()])

    def full() -> set[TP]:
        return {TP(fold.topic, each) for fold in folds for each in rounds[fold.name].full}

    transport = batch_transport(start_offset, drain, full, fail, settings, idle_wait_ms)

    class FreshetApp(faust.App):
        def _new_transport(self) -> Any:
            return transport(self.conf.broker_consumer, self)

    app = FreshetApp(
        settings.namespace,
        broker=";".join(f"kafka://{each.strip()}" for each in settings.kafka_bootstrap.split(",")),
        broker_credentials=broker_credentials(settings),
        store="memory://",
        # Faust makes this folder, and keeps nothing in it.
        datadir=str(Path(tempfile.gettempdir()) / f"freshet-faust-{os.getuid()}"),
        processing_guarantee="at_least_once",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        stream_buffer_maxsize=4,  # fetches, not events
        # There are no tables. With replicas of them, a worker that joins gets partitions only from
        # who has more than the largest fair share: a third one of four partitions got none.
        table_standby_replicas=0,
        broker_commit_interval=1.0,
        consumer_group_instance_id=instance_id,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_rebalance_timeout=20.0,
        broker_request_timeout=30.0,
        consumer_max_fetch_size=1024 * 1024,
        consumer_auto_offset_reset="earliest",  # for the moment between an assignment and its seek
    )
    for fold in folds:
        topic = app.topic(fold.topic, schema=BatchSchema(), allow_empty=True)
        app.agent(topic, name=f"{settings.namespace}.{fold.name}", concurrency=1)(
            _agent(rounds[fold.name])
        )

    async def assigned(_app: Any, assigned: set[TP], **_: Any) -> None:
        positions.assign((by_topic[tp.topic].name, tp.partition) for tp in assigned)

    async def revoked(_app: Any, _revoked: set[TP], **_: Any) -> None:
        positions.revoke()

    app.on_partitions_assigned.connect(assigned)
    app.on_partitions_revoked.connect(revoked)
    return app


def _rounds(
    fold: FoldShell[Any, Any], settings: Settings, fail: Fail, positions: AssignedPositions
) -> Rounds:
    async def apply(batches: Sequence[RecordBatch]) -> None:
        try:
            await fold.apply(batches)
        except Exception as error:
            fail(error)
        for batch in batches:
            positions.move((fold.name, batch.partition), batch.end)

    return Rounds(
        apply,
        most_records=settings.batch_events,
        most_bytes=fold.most_bytes,
        alone=fold.alone,
    )


def _agent(rounds: Rounds) -> Callable[[Any], Any]:
    async def collect(stream: Any) -> None:
        # Faust acknowledges a fetch when the next one is asked for, here before it is applied.
        # That is harmless: reading starts from Redis' position, never from Kafka's commit.
        running = asyncio.create_task(rounds.run())
        try:
            async for batches in stream:
                await rounds.put(batches)
        finally:
            running.cancel()

    return collect
