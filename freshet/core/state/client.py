"""Clients of the Redis that holds the state: one server or a cluster, as the URL says.

Law: no other module makes a client from settings. A key names its slot by its hash tag, so whoever
sends commands on the keys of one partition need not know which of the two it is; commands on the
keys of several partitions go through `together`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from freshet.core.address import split_host_port
from freshet.core.errors import SettingError
from freshet.core.settings import Settings

Where = Settings | str
"""Settings, or the URL alone, where no file of a certificate is named."""

Client = redis.Redis | redis.RedisCluster
AsyncClient = redis.asyncio.Redis | redis.asyncio.RedisCluster
CLIENT_ERRORS: Final = (redis.RedisError, redis.exceptions.RedisClusterException, OSError)
"""What a call raises when Redis does not answer, or not as it should."""

Command = Sequence[Any]
"""The words of a command; the first is its name."""

_CLUSTER: Final = "+cluster://"
_DEFAULT_PORT: Final = 6379
# To a node of a cluster, where every partition may have a call under way at the same time, and a
# follower waits for each.
_MOST_CONNECTIONS: Final = 1_024
SEND_BUFFER_BYTES: Final = 4 << 20  # what a Unix socket is asked to take at once


def is_unix(url: str) -> bool:
    """Return whether a URL names a Unix socket.

    >>> is_unix("unix:///run/redis.sock"), is_unix("redis://one:6379")
    (True, False)
    """
    return url.startswith("unix://")


def is_cluster(url: str) -> bool:
    """Return whether a URL names a cluster.

    >>> is_cluster("redis+cluster://one:7000,two:7000"), is_cluster("redis://one:7000")
    (True, False)
    """
    return _CLUSTER in url


def connect(where: Where, *, timeout_s: float | None = None) -> Client:
    """Return a client for commands and audits.

    Args:
        where: settings, or a URL: `redis://`, `rediss://`, `unix://`, or
            `redis+cluster://host:port[,host:port]`.
        timeout_s: how long an answer may take; None for ever.

    Raises:
        redis.ConnectionError: no node of the cluster answers. A client of one server connects
            when it is first used.
        SettingError: the URL cannot be read.
    """
    url = _url_of(where)
    limits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, **_tls(where)}
    if not is_cluster(url):
        return redis.Redis.from_url(url, **limits)
    single, others = _first_node(url)
    node: Any = redis.cluster.ClusterNode
    nodes = [node(host, port) for host, port in others]
    try:
        return redis.RedisCluster.from_url(single, startup_nodes=nodes, **limits)
    except redis.exceptions.RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error


def connect_async(where: Where, *, timeout_s: float) -> AsyncClient:
    """Return a client that fails fast: redis-py would retry a dead server for seconds.

    Args:
        where: as `connect` takes it.
        timeout_s: how long an answer may take.

    Raises:
        SettingError: the URL cannot be read.
    """
    url = _url_of(where)
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **_tls(where),
    }
    if is_unix(url):
        options["redis_connect_func"] = _begin_widened
    if not is_cluster(url):
        return redis.asyncio.Redis.from_url(url, **options)
    single, others = _first_node(url)
    nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in others]
    return _AsyncCluster.from_url(
        single, startup_nodes=nodes, max_connections=_MOST_CONNECTIONS, **options
    )


def granted_buffer_bytes() -> int:
    """Return what a Unix socket of this machine takes at once, asked for `SEND_BUFFER_BYTES`.

    Linux grants `net.core.wmem_max` at most, and doubles what it grants, for its own bookkeeping.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        _widen(sock)
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


async def _begin_widened(connection: Any) -> None:
    """Begin a connection over a Unix socket, with room for what a round writes.

    A round of eight partitions is some 2 MB. A Unix socket takes 208 KiB, where TCP's grows; what
    is left would wait for the loop, which folds the next round meanwhile, and Redis with it.
    """
    _widen(connection._writer.get_extra_info("socket"))
    await connection.on_connect()


def _widen(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


class _AsyncCluster(redis.asyncio.RedisCluster):
    """A client whose errors are those of the library.

    When one node says that the cluster is down, redis-py closes the connections to all nodes, also
    under the commands that are just being written there. Those meet a writer that is gone, or that
    uvloop refuses to use, and redis-py hands on what they meet (issue 4287 of redis-py).
    """

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send a command; see `redis.asyncio.RedisCluster`.

        Raises:
            redis.ConnectionError: the connection was closed meanwhile; and what redis-py raises.
        """
        try:
            return await super().execute_command(*args, **kwargs)
        except (AttributeError, RuntimeError) as error:
            raise redis.ConnectionError(f"the connection was closed under way: {error}") from error


async def together(
    client: AsyncClient, commands: Sequence[Command], *, raise_errors: bool = True
) -> list[Any]:
    """Send commands, each on keys of one partition, and wait for all answers.

    Args:
        client: of either kind.
        commands: no command may count on the one before it.
        raise_errors: raise the first error that a command is answered with; else it stands in the
            place of the answer.

    Raises:
        CLIENT_ERRORS: Redis does not answer, or see `raise_errors`.
    """
    if not commands:
        return []
    if isinstance(client, redis.asyncio.Redis):
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=raise_errors))
    # The pipeline of the cluster's client takes no scripts; its connections are many.
    sent = [client.execute_command(*command) for command in commands]
    answers: list[Any] = await asyncio.gather(*sent, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and (
            raise_errors or not isinstance(answer, redis.ResponseError)
        ):
            raise answer
    return answers


def by_slot(client: AsyncClient, keys: Sequence[str]) -> list[list[str]]:
    """Return the keys in groups, each of which one command may name."""
    if isinstance(client, redis.asyncio.Redis):
        return [list(keys)] if keys else []
    groups: dict[int, list[str]] = {}
    for key in keys:
        groups.setdefault(client.keyslot(key), []).append(key)
    return list(groups.values())


def server_infos(client: Client) -> list[dict[str, Any]]:
    """Return what each server says of itself."""
    if isinstance(client, redis.Redis):
        return [client.info()]
    cluster: Any = client
    return [cluster.info(target_nodes=node) for node in cluster.get_primaries()]


def _url_of(where: Where) -> str:
    """Return the URL, after a look whether it is one.

    Raises:
        SettingError: it is not; the reason of the library is kept back, for it quotes passwords.
    """
    url = where if isinstance(where, str) else where.redis_url
    try:
        _ = urlsplit(_first_node(url)[0] if is_cluster(url) else url).port
        path = url.partition("://")[2].partition("?")[0].partition("/")[2]
        broken = "@" in path and not is_unix(url)
    except ValueError:  # its port is no number, because a part of the password stands there
        broken = True
    if broken:
        raise SettingError(
            "redis_url",
            url,
            "a URL such as rediss://user:password@host:6379/0; percent-encode what is not a letter "
            "or a digit in its password",
        )
    return url


def _tls(where: Where) -> dict[str, Any]:
    """Return the options of redis-py for an encrypted connection, none for another one.

    Raises:
        SettingError: a file that is named is not there.
    """
    if isinstance(where, str):
        return {}
    named = {
        "ssl_ca_certs": "redis_ssl_ca_location",
        "ssl_certfile": "redis_ssl_certificate_location",
        "ssl_keyfile": "redis_ssl_key_location",
    }
    files = {option: name for option, name in named.items() if getattr(where, name)}
    for name in files.values():
        path = getattr(where, name)
        if not where.redis_url.startswith("rediss"):
            raise SettingError(
                "redis_url", where.redis_url, f"rediss://, because {name} is set; or leave that out"
            )
        if not Path(path).is_file():
            raise SettingError(name, path, "a file that this process can read")
    options = {option: getattr(where, name) for option, name in files.items()}
    if where.redis_ssl_key_password:
        options["ssl_password"] = where.redis_ssl_key_password
    return options


def _first_node(url: str) -> tuple[str, list[tuple[str, int]]]:
    """Return the URL of the first node of a cluster, and the addresses of the others.

    >>> _first_node("rediss+cluster://me:secret@one:7000,two")
    ('rediss://me:secret@one:7000', [('two', 6379)])
    >>> _first_node("redis+cluster://[::1]:7000,[::1]:7001")
    ('redis://[::1]:7000', [('::1', 7001)])
    """
    scheme, _, rest = url.partition(_CLUSTER)
    nodes, mark, options = rest.partition("?")
    first, *others = nodes.partition("/")[0].split(",")  # a cluster has one database
    url_of_first = f"{scheme}://{first}{mark}{options}"
    return url_of_first, [split_host_port(each, _DEFAULT_PORT) for each in others]
