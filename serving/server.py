"""The serving process: connect, load, follow, answer, and end within seconds when asked to.

Law: what runs in the background runs for ever and survives failures of the services by itself. If
one of these tasks ends all the same, that is a bug, and the process ends with it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import uvicorn

from freshet.core.address import host_port, http_url, listening_socket
from freshet.core.clock import system_clock
from freshet.core.errors import ServiceError, SettingError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient, connect_async
from freshet.core.state.keys import Keys
from online_models.artifacts.registry import Registry
from serving.answer_log import AnswerLog
from serving.change_follower import BLOCK_MS, ItemFollower, UserFollower
from serving.erasures import RedisErasures
from serving.http.app import create_app
from serving.http.feed import MAX_MESSAGE_BYTES
from serving.http.protocol import ConnectionLimits, bounded_protocol
from serving.http.services import Services
from serving.http.socket_protocol import bounded_socket_protocol
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.live_bundle import LiveBundle
from serving.moment import State
from serving.responsive_wait import MAX_LAG_S
from serving.series import start_series_of_server
from serving.session_follower import SessionFollower
from serving.source_weights import SourceWeights
from serving.user_notices import UserNotices
from serving.user_sessions import UserSessions
from serving.user_state import RedisUserStates

REDIS_WAIT_S: Final = 30.0
GRACE_S: Final = 3
FOLLOW_TIMEOUT_S: Final = 5.0 + BLOCK_MS / 1000

log = logging.getLogger(__name__)


async def run_server(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: of the installation.
        announce: called with the URL once requests are answered.

    Raises:
        ServiceError: Kafka or Redis does not answer at the start.
        SettingError: the address cannot be bound.
    """
    start_series_of_server()
    listener = _bind(settings)
    partitions = await asyncio.to_thread(discover_partitions, settings)
    read_timeout_s = settings.redis_read_timeout_ms / 1000
    # The reads time themselves, without the lag of our own loop; the client's is the last resort.
    reader = connect_async(settings.redis_url, timeout_s=read_timeout_s + 2 * MAX_LAG_S)
    follower = connect_async(settings.redis_url, timeout_s=FOLLOW_TIMEOUT_S)
    await _wait_for_redis(follower, settings)
    keys = Keys(settings.namespace)
    items = ItemState(ItemTable(), system_clock)
    live = LiveBundle(Registry(settings.models_dir), items.table)
    notices = UserNotices()
    users = RedisUserStates(reader, keys, partitions, read_timeout_s)
    sessions = UserSessions(items.table)
    sources = SourceWeights(system_clock)
    session_follower = SessionFollower(follower, keys, partitions, items, sessions, sources)
    listeners, memories = (notices, session_follower), (users, session_follower)
    background = (
        ItemFollower(follower, keys, partitions, items).run,
        UserFollower(follower, keys, partitions, listeners, memories).run,
        session_follower.run,
        items.run,
        live.run,
        sources.run,
    )
    producer = EventProducer(settings.kafka_bootstrap)
    state = State(settings, users, items, live, notices, sessions, sources)
    topics = Topics(settings.namespace)
    services = Services(
        state=state,
        producer=producer,
        log=AnswerLog(producer, topics, partitions, system_clock),
        erasures=RedisErasures(reader, keys, read_timeout_s),
        topics=topics,
        partitions=partitions,
        clock=system_clock,
        rng=np.random.default_rng(),
        new_id=lambda: uuid.uuid4().hex,
    )
    try:
        await _answer_until_asked(services, listener, background, announce)
    finally:
        await asyncio.to_thread(producer.close)
        await reader.aclose()
        await follower.aclose()


async def _answer_until_asked(
    services: Services,
    listener: socket.socket,
    background: tuple[Callable[[], Any], ...],
    announce: Callable[[str], None],
) -> None:
    url = http_url(services.state.settings.http_host, listener.getsockname()[1])
    server = _Server(_uvicorn_config(services), lambda: announce(url))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run()) for run in background]
        # A collection walks every object of the catalogue: tens of ms in the middle of a request.
        gc.set_threshold(50_000, 50, 100)
        await server.serve(sockets=[listener])
        for task in tasks:
            task.cancel()


class _Server(uvicorn.Server):
    """Uvicorn, ended by a flag: its own handling of signals would end the process by the signal."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell so."""
        await super().startup(sockets)
        self._tell_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End gracefully on SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _uvicorn_config(services: Services) -> uvicorn.Config:
    settings = services.state.settings
    head_s, body_s = settings.http_head_timeout_s, settings.http_body_timeout_s
    limits = ConnectionLimits(head_s, body_s, take_s=body_s)
    return uvicorn.Config(
        create_app(services),
        http=bounded_protocol(limits),
        ws=bounded_socket_protocol(take_s=body_s),
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # costs more milliseconds than it saves on a loopback
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def _bind(settings: Settings) -> socket.socket:
    """Return the listening address, taken before anything is loaded."""
    try:
        return listening_socket(settings.http_host, settings.http_port)
    except OSError as error:
        address = host_port(settings.http_host, settings.http_port)
        raise SettingError("http_port", address, f"a free address ({error.strerror})") from error


async def _wait_for_redis(redis: AsyncClient, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + REDIS_WAIT_S
    while True:
        try:
            await redis.ping()
            return
        except CLIENT_ERRORS as error:
            if loop.time() > give_up_at:
                raise ServiceError(
                    "redis",
                    f"{settings.redis_url} does not answer within {REDIS_WAIT_S:.0f} s ({error}); "
                    "is it running and FRESHET_REDIS_URL right?",
                ) from error
            log.warning("waiting for Redis at %s: %s", settings.redis_url, error)
            await asyncio.sleep(0.5)
