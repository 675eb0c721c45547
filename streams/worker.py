"""The worker process: the folds, their clients, metrics, and an end that is always bounded."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from aiokafka.errors import KafkaError

from freshet.core.advice import redis_trouble
from freshet.core.clock import system_clock
from freshet.core.errors import FreshetError, ServiceError, SettingError
from freshet.core.events.cluster import discover_partitions, is_embedded
from freshet.core.events.producer import EventProducer
from freshet.core.events.topic_log import TopicLog
from freshet.core.events.topics import Topics
from freshet.core.metrics import WORKER_RESTARTS
from freshet.core.settings import Settings
from freshet.core.state.client import CLIENT_ERRORS
from freshet.core.state.eviction import require_no_eviction
from freshet.core.state.keys import Keys
from freshet.core.state.records import LAYOUT_VERSION, REBUILD
from online_models.artifacts.checks.budget import Budget
from streams.app import HEARTBEAT_S, SESSION_S, create_app
from streams.catalog_shell import CatalogShell
from streams.clearing import keep_clear
from streams.exits import EXIT_RESTART, REASONS, Ending, ExitCounts, Fail
from streams.fold_shell import FoldContext, FoldShell
from streams.health import HealthServer
from streams.heartbeats import keep_heartbeats
from streams.item_shell import ItemShell
from streams.item_vectors import LiveVectors
from streams.joiner_shell import JoinerShell
from streams.lifetimes import keep_lifetimes
from streams.liveness import AssignedPositions, Limits
from streams.log_ends import LogEnds
from streams.pace import idle_wait_ms
from streams.pending_letters import LetterWatch
from streams.series import start_series_of_worker
from streams.store import RedisStore, connect
from streams.user_shell import UserShell
from streams.watch import Watch

log = logging.getLogger(__name__)

SWITCH_S = 0.0005
GC_THRESHOLD = 50_000  # a fetched batch is thousands of short-lived records, none in a cycle

Compose = Callable[[FoldContext, LiveVectors], list[FoldShell[Any, Any]]]
"""Makes the folds of a worker."""


def compose_folds(context: FoldContext, vectors: LiveVectors) -> list[FoldShell[Any, Any]]:
    """Return the folds, each of a topic of its own."""
    return [
        UserShell(context, vectors),
        ItemShell(context),
        CatalogShell(context),
        JoinerShell(context),
    ]


def run_worker(
    settings: Settings,
    instance_id: str | None = None,
    counts: ExitCounts | None = None,
    *,
    compose: Compose = compose_folds,
) -> None:
    """Fold until a signal ends the process.

    Args:
        settings: of the installation.
        instance_id: see `streams.app.create_app`.
        counts: how the workers before this one ended, as their supervisor keeps it.
        compose: makes the folds.

    Raises:
        ServiceError: Kafka or Redis is not there.
        SettingError: topics, state and settings do not fit each other.
    """
    faulthandler.enable()
    # Two other threads, which fetch and which hear of what was delivered, wait for this one to
    # let go of the interpreter: each time for 5 ms, as Python comes.
    sys.setswitchinterval(SWITCH_S)
    # As a policy, not by uvloop.run alone: Faust's consumer has a loop in a thread of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    counts = counts or ExitCounts(None)
    ended = counts.read()
    for reason in REASONS:  # also those that never happened: a counter must be seen to rise from 0
        WORKER_RESTARTS.labels(reason).inc(ended[reason])
    start_series_of_worker()
    end = Ending(counts)
    try:
        asyncio.run(_run(settings, instance_id, end, compose))
    except FreshetError as error:
        end.note(error)
        raise


async def _run(settings: Settings, instance_id: str | None, end: Ending, compose: Compose) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    positions = AssignedPositions()
    watch = _watch(settings, positions, end, loop)
    watch.start()
    if settings.worker_metrics_port:
        HealthServer(settings.worker_metrics_host, settings.worker_metrics_port, watch.health)
    partitions = await asyncio.to_thread(discover_partitions, settings)
    if settings.worker_metrics_port:  # nobody else asks
        letters = TopicLog(settings, Topics(settings.namespace).dead_letters, "letter-watch")
        LetterWatch(letters, partitions).start()
    wait_ms = idle_wait_ms(settings, embedded=await asyncio.to_thread(is_embedded, settings))
    client = connect(settings)
    await _agree_on_layout(client, settings, partitions)
    producer = EventProducer(settings)
    vectors = LiveVectors(Path(settings.models_dir), budget=Budget.of(settings))
    vectors.start()
    context = FoldContext(settings, partitions, RedisStore(client), producer, system_clock)
    folds = compose(context, vectors)
    app = create_app(
        settings,
        folds,
        fail=end,
        positions=positions,
        instance_id=instance_id,
        idle_wait_ms=wait_ms,
    )
    app.in_worker = True
    app.finalize()
    gc.freeze()  # what lives until the end need not be looked at again
    gc.set_threshold(GC_THRESHOLD)
    chores = [
        asyncio.create_task(_endlessly(chore, end))
        for chore in _chores(context, folds, vectors, positions)
    ]
    try:
        await app.start()
    except KafkaError as error:
        raise ServiceError("kafka", f"{type(error).__name__}: {error}") from error
    log.info("worker of namespace %s runs, %d partitions", settings.namespace, partitions)
    crashed = asyncio.create_task(app._crashed.wait())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([crashed, stopping], return_when=asyncio.FIRST_COMPLETED)
    if crashed.done():
        end(_cause(app._crash_reason))
    watch.stop()
    _end_within(settings.shutdown_s)
    log.info("worker stops")
    for chore in chores:
        chore.cancel()
    await app.stop()
    context.bursts.report()
    producer.close()
    await client.aclose()


def _chores(
    context: FoldContext,
    folds: Sequence[FoldShell[Any, Any]],
    vectors: LiveVectors,
    positions: AssignedPositions,
) -> list[Awaitable[None]]:
    """Return what a worker does beside folding, each without end."""
    users: Any = next(fold for fold in folds if fold.name == UserShell.name)
    started = partial(positions.started, UserShell.name)
    chores: list[Awaitable[None]] = [
        vectors.follow(),
        keep_lifetimes(users, started),
        keep_clear(users, started),
    ]
    if every_s := context.settings.heartbeat_s:
        producer, topic, clock = context.producer, users.topic, context.clock
        chores.append(keep_heartbeats(producer, topic, started, clock, every_s=every_s))
    return chores


async def _endlessly(chore: Awaitable[None], end: Fail) -> None:
    """Do a chore; the worker ends with its failure."""
    try:
        await chore
    except Exception as error:
        end(error)


def _watch(
    settings: Settings,
    positions: AssignedPositions,
    end: Ending,
    loop: asyncio.AbstractEventLoop,
) -> Watch:
    topics = Topics(settings.namespace)
    read = {
        UserShell.name: topics.events,
        ItemShell.name: topics.item_deltas,
        CatalogShell.name: topics.catalog,
        JoinerShell.name: topics.slates,
    }
    limits = Limits(
        stall_s=settings.stall_s,
        broker_gone_s=settings.broker_gone_s,
        frozen_s=SESSION_S - HEARTBEAT_S,
        memory_bytes=settings.worker_memory_mib << 20,
    )
    return Watch(positions, LogEnds(settings, read), limits, end, loop)


def _cause(crash: BaseException | None) -> BaseException:
    """Return what made Faust give up: what Kafka's client raises is Kafka's fault, not a bug."""
    if crash is None or isinstance(crash, KafkaError):
        return ServiceError("kafka", f"{type(crash).__name__}: {crash}")
    return crash


async def _agree_on_layout(client: object, settings: Settings, partitions: int) -> None:
    """Write what the state is laid out for, or refuse a state laid out otherwise.

    Raises:
        ServiceError: Redis does not answer.
        SettingError: the state is laid out otherwise, or Redis drops keys by itself.
    """
    wanted = {"layout": str(LAYOUT_VERSION), "partitions": str(partitions)}
    keys = Keys(settings.namespace)
    try:
        await require_no_eviction(client)  # type: ignore[arg-type]
        for name, value in wanted.items():
            await client.hsetnx(keys.meta, name, value)  # type: ignore[attr-defined]
        stored = await client.hgetall(keys.meta)  # type: ignore[attr-defined]
    except CLIENT_ERRORS as error:
        raise ServiceError("redis", redis_trouble(settings.redis_url, error)) from error
    found = {name.decode(): value.decode() for name, value in stored.items()}
    for name, value in wanted.items():
        if found[name] != value:
            raise SettingError(
                f"{name} of the state in Redis",
                found[name],
                f"{value}, as this worker and the topics have it; {REBUILD}",
            )


def _end_within(seconds: float) -> None:
    """Kill this process if it still lives after `seconds`: a stop of Faust may hang for ever."""

    def end() -> None:
        log.error("not stopped within %g s; ending at once, the state is safe", seconds)
        faulthandler.dump_traceback()
        os._exit(EXIT_RESTART)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
