"""The worker process: the folds, their clients, metrics, and an end that is always bounded."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import uvloop
from prometheus_client import start_http_server

from freshet.core.clock import system_clock
from freshet.core.errors import ServiceError, SettingError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from freshet.core.state.records import LAYOUT_VERSION
from streams.app import EXIT_RESTART, create_app, exit_process
from streams.catalog_shell import CatalogShell
from streams.fold_shell import FoldContext, FoldShell
from streams.item_shell import ItemShell
from streams.item_vectors import LiveVectors
from streams.store import RedisStore, connect
from streams.user_shell import UserShell

log = logging.getLogger(__name__)

GC_THRESHOLD = 50_000  # a fetched batch is thousands of short-lived records, none in a cycle


def run_worker(settings: Settings, instance_id: str | None = None) -> None:
    """Fold until a signal ends the process.

    Args:
        settings: of the installation.
        instance_id: see `streams.app.create_app`.

    Raises:
        ServiceError: Kafka or Redis is not there.
        SettingError: topics, state and settings do not fit each other.
    """
    faulthandler.enable()
    # As a policy, not by uvloop.run alone: Faust's consumer has a loop in a thread of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_run(settings, instance_id))


async def _run(settings: Settings, instance_id: str | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    partitions = await asyncio.to_thread(discover_partitions, settings)
    client = connect(settings.redis_url)
    await _agree_on_layout(client, Keys(settings.namespace), partitions)
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, addr=settings.worker_metrics_host)
    producer = EventProducer(settings.kafka_bootstrap)
    vectors = LiveVectors(Path(settings.models_dir))
    vectors.refresh()
    context = FoldContext(settings, partitions, RedisStore(client), producer, system_clock)
    folds: list[FoldShell[Any]] = [
        UserShell(context, vectors),
        ItemShell(context),
        CatalogShell(context),
    ]
    app = create_app(settings, folds, instance_id=instance_id)
    app.in_worker = True
    app.finalize()
    gc.freeze()  # what lives until the end need not be looked at again
    gc.set_threshold(GC_THRESHOLD)
    following = asyncio.create_task(vectors.follow())
    await app.start()
    log.info("worker of namespace %s runs, %d partitions", settings.namespace, partitions)
    crashed = asyncio.create_task(app._crashed.wait())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([crashed, stopping], return_when=asyncio.FIRST_COMPLETED)
    if crashed.done():
        exit_process(app._crash_reason or ServiceError("faust", "the app crashed"))
    _end_within(settings.shutdown_s)
    log.info("worker stops")
    following.cancel()
    await app.stop()
    producer.close()
    await client.aclose()


async def _agree_on_layout(client: object, keys: Keys, partitions: int) -> None:
    """Write what the state is laid out for, or refuse a state laid out otherwise."""
    from redis.exceptions import RedisError

    wanted = {"layout": str(LAYOUT_VERSION), "partitions": str(partitions)}
    try:
        for name, value in wanted.items():
            await client.hsetnx(keys.meta, name, value)  # type: ignore[attr-defined]
        stored = await client.hgetall(keys.meta)  # type: ignore[attr-defined]
    except (RedisError, OSError) as error:
        raise ServiceError(
            "redis", f"{error}; is it running and FRESHET_REDIS_URL right?"
        ) from error
    found = {name.decode(): value.decode() for name, value in stored.items()}
    for name, value in wanted.items():
        if found[name] != value:
            raise SettingError(
                f"{name} of the state in Redis",
                found[name],
                f"{value}, as this worker and the topics have it; use another FRESHET_NAMESPACE",
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
