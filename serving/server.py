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
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import numpy as np
import uvicorn

from freshet.core.address import host_port, http_url, listening_socket
from freshet.core.clock import system_clock
from freshet.core.errors import FreshetError, SettingError
from freshet.core.events.cluster import retention_ms
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.client import AsyncClient, connect_async
from freshet.core.state.keys import Keys
from online_models.artifacts.registry import Registry
from serving.answer_log import AnswerLog
from serving.change_follower import BLOCK_MS, ItemFollower, UserFollower
from serving.erasures import RedisErasures
from serving.http.app import create_app
from serving.http.feed import MAX_MESSAGE_BYTES
from serving.http.not_started import Entrance
from serving.http.protocol import ConnectionLimits, bounded_protocol
from serving.http.services import Services
from serving.http.socket_protocol import bounded_socket_protocol
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.kafka_watch import FAILURES, TIMEOUT_S, KafkaWatch
from serving.live_bundle import LiveBundle
from serving.moment import State
from serving.remains import Retention
from serving.responsive_wait import MAX_LAG_S
from serving.series import start_series_of_server
from serving.session_follower import SessionFollower
from serving.source_weights import SourceWeights
from serving.start import agree_with_kafka, known_partitions, require_lasting_state
from serving.state_watch import StateWatch, progress_look
from serving.user_notices import UserNotices
from serving.user_sessions import UserSessions
from serving.user_state import RedisUserStates

GRACE_S: Final = 3
FOLLOW_TIMEOUT_S: Final = 5.0 + BLOCK_MS / 1000

log = logging.getLogger(__name__)


async def run_server(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, also while Kafka or Redis is away.

    Args:
        settings: of the installation.
        announce: called with the URL once requests are answered.

    Raises:
        ServiceError: Kafka's topics have another number of partitions than the state in Redis.
        SettingError: the address cannot be bound, the topics differ among each other, or Redis
            drops keys by itself.
    """
    start_series_of_server()
    listener = _bind(settings)
    read_timeout_s = settings.redis_read_timeout_ms / 1000
    # The reads time themselves, without the lag of our own loop; the client's is the last resort.
    reader = connect_async(settings, timeout_s=read_timeout_s + 2 * MAX_LAG_S)
    follower = connect_async(settings, timeout_s=FOLLOW_TIMEOUT_S)
    producer = EventProducer(settings)
    entrance = Entrance()
    url = http_url(settings.http_host, listener.getsockname()[1])
    server = _Server(_uvicorn_config(settings, entrance), lambda: announce(url))
    # A collection walks every object of the catalogue: tens of ms in the middle of a request.
    gc.set_threshold(50_000, 50, 100)
    running = _run(settings, entrance, producer, reader, follower)
    try:
        await _until_either_ends(server, listener, running)
    finally:
        await asyncio.to_thread(producer.close)
        await reader.aclose()
        await follower.aclose()


async def _until_either_ends(
    server: _Server, listener: socket.socket, running: Coroutine[Any, Any, None]
) -> None:
    """Answer until asked to end, or until what runs in the background fails."""
    answering = asyncio.create_task(server.serve(sockets=[listener]))
    background = asyncio.create_task(running)
    await asyncio.wait({answering, background}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    try:
        await answering
    finally:
        background.cancel()
        with suppress(asyncio.CancelledError):
            await background


async def _run(
    settings: Settings,
    entrance: Entrance,
    producer: EventProducer,
    reader: AsyncClient,
    follower: AsyncClient,
) -> None:
    """Open the entrance once the number of partitions is known, and follow what changes."""
    partitions, of_kafka = await known_partitions(settings, follower)
    services, background = _compose(settings, partitions, producer, reader, follower, of_kafka)
    entrance.app = create_app(services)
    try:
        async with asyncio.TaskGroup() as group:
            for run in background:
                group.create_task(run())
            group.create_task(require_lasting_state(follower))
            if not of_kafka:
                group.create_task(agree_with_kafka(settings, partitions))
    except BaseExceptionGroup as failed:
        expected = failed.subgroup(FreshetError)
        if expected is None:
            raise
        raise expected.exceptions[0] from failed


def _compose(
    settings: Settings,
    partitions: int,
    producer: EventProducer,
    reader: AsyncClient,
    follower: AsyncClient,
    has_kafka: bool,
) -> tuple[Services, tuple[Callable[[], Coroutine[Any, Any, None]], ...]]:
    """Return what routes need, and what runs in the background."""
    keys, topics = Keys(settings.namespace), Topics(settings.namespace)
    read_timeout_s = settings.redis_read_timeout_ms / 1000
    max_bytes = int(settings.intake_mib * 2**20)
    items = ItemState(ItemTable(), system_clock)
    live = LiveBundle(Registry.of(settings), items.table)
    notices = UserNotices()
    users = RedisUserStates(reader, keys, partitions, read_timeout_s)
    sessions = UserSessions(items.table)
    sources = SourceWeights(system_clock)
    session_follower = SessionFollower(follower, keys, partitions, items, sessions, sources)
    listeners, memories = (notices, session_follower), (users, session_follower)
    watch = KafkaWatch(
        partial(producer.is_reachable, topics.events, TIMEOUT_S),
        lambda: producer.waiting_bytes,
        max_bytes,
        failures=0 if has_kafka else FAILURES,
    )
    progress = StateWatch(progress_look(settings, partitions))
    state = State(
        settings, users, items, live, notices, sessions, sources,
        lambda: watch.away, lambda: progress.behind,
    )  # fmt: skip
    services = Services(
        state=state,
        producer=producer,
        kafka=watch,
        log=AnswerLog(producer, topics, partitions, system_clock, max_bytes),
        erasures=RedisErasures(reader, keys, read_timeout_s),
        retention=Retention(topics, partial(retention_ms, settings)),
        topics=topics,
        partitions=partitions,
        clock=system_clock,
        rng=np.random.default_rng(),
        new_id=lambda: uuid.uuid4().hex,
    )
    background = (
        ItemFollower(follower, keys, partitions, items).run,
        UserFollower(follower, keys, partitions, listeners, memories).run,
        session_follower.run,
        items.run,
        live.run,
        sources.run,
        watch.run,
        progress.run,
    )
    return services, background


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


def _uvicorn_config(settings: Settings, entrance: Entrance) -> uvicorn.Config:
    head_s, body_s = settings.http_head_timeout_s, settings.http_body_timeout_s
    limits = ConnectionLimits(head_s, body_s, take_s=body_s)
    return uvicorn.Config(
        entrance,
        lifespan="off",  # nothing of the application waits for it
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
