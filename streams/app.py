"""The Faust app: one agent per fold, each reading whole batches.

Law: nothing that fails inside an agent may reach Faust, which would acknowledge the batch and go
on. Every error ends the process before that; the supervisor starts it again, and it reads on from
the position in Redis.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import faust
from faust.types import TP

from freshet.core.errors import FreshetError, SettingError
from freshet.core.settings import Settings
from streams.fold_shell import FoldShell
from streams.record_batch import RecordBatch
from streams.rounds import Rounds
from streams.transport import BatchSchema, batch_transport, check_start

log = logging.getLogger(__name__)

EXIT_RESTART = 75  # EX_TEMPFAIL: start me again
EXIT_SETTING = 2  # starting again will not help

Fail = Callable[[BaseException], NoReturn]


def exit_process(error: BaseException) -> NoReturn:
    """Say what happened and end the process at once, acknowledging nothing."""
    if isinstance(error, FreshetError):
        log.error("%s", error)
    else:
        log.error("a bug, please report it:\n%s", "".join(traceback.format_exception(error)))
    logging.shutdown()
    os._exit(EXIT_SETTING if isinstance(error, SettingError) else EXIT_RESTART)


def create_app(
    settings: Settings,
    folds: Sequence[FoldShell[Any]],
    *,
    instance_id: str | None = None,
    fail: Fail = exit_process,
) -> Any:
    """Return the app that feeds the folds; starting it joins the consumer group.

    Args:
        settings: of the installation.
        folds: the folds, each of a topic of its own.
        instance_id: name of this member of the consumer group. A worker that comes back under
            its name gets its partitions at once, not when its old session has timed out.
        fail: ends the process; never returns.
    """
    by_topic = {fold.topic: fold for fold in folds}

    async def start_offset(tp: TP, earliest: int, end: int) -> int:
        try:
            position = await by_topic[tp.topic].start(tp.partition, earliest)
            check_start(tp, position, end)
        except Exception as error:
            fail(error)
        return position

    rounds = {fold.name: _rounds(fold, settings, fail) for fold in folds}

    async def drain() -> None:
        await asyncio.gather(*[each.drain() for each in rounds.values()])

    transport = batch_transport(start_offset, drain, settings)

    class FreshetApp(faust.App):
        def _new_transport(self) -> Any:
            return transport(self.conf.broker_consumer, self)

    app = FreshetApp(
        settings.namespace,
        broker="kafka://" + settings.kafka_bootstrap.replace(",", ";kafka://"),
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
        broker_commit_interval=1.0,
        consumer_group_instance_id=instance_id,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_rebalance_timeout=20.0,
        broker_request_timeout=30.0,
        broker_max_poll_records=settings.batch_events,
        consumer_max_fetch_size=1024 * 1024,
        consumer_auto_offset_reset="earliest",
    )
    for fold in folds:
        topic = app.topic(fold.topic, schema=BatchSchema(), allow_empty=True)
        app.agent(topic, name=f"{settings.namespace}.{fold.name}", concurrency=1)(
            _agent(rounds[fold.name])
        )
    return app


def _rounds(fold: FoldShell[Any], settings: Settings, fail: Fail) -> Rounds:
    async def apply(batches: Sequence[RecordBatch]) -> None:
        try:
            await fold.apply(batches)
        except Exception as error:
            fail(error)

    return Rounds(apply, most_events=settings.batch_events)


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
