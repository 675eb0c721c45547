"""Tests of freshet.core.state.client."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop
from redis.exceptions import NoScriptError, ResponseError

from freshet.core.errors import SettingError
from freshet.core.settings import Settings, load_settings
from freshet.core.state.client import (
    CLIENT_ERRORS,
    by_slot,
    connect,
    connect_async,
    granted_buffer_bytes,
    is_cluster,
    server_infos,
    together,
)
from freshet.core.state.keys import Keys
from freshet.embedded.redis import RedisServer
from freshet.embedded.redis_cluster import RedisCluster

KEYS = Keys("n")
POSITIONS = [KEYS.user_position(p) for p in range(8)]


@pytest.fixture(scope="module", params=["server", "cluster"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """One Redis, then a cluster: what is promised holds for both."""
    with RedisServer() if request.param == "server" else RedisCluster() as backend:
        yield backend.url


@pytest.fixture
async def client(url: str) -> AsyncIterator[Any]:
    client = connect_async(url, timeout_s=5.0)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    "url", ["redis+cluster://one:7000", "rediss+cluster://me:secret@one:7000,two:7001/0"]
)
def test_a_cluster_is_named_in_the_settings(url: str) -> None:
    """By its own scheme, with one node or several."""
    assert is_cluster(load_settings({"FRESHET_REDIS_URL": url}).redis_url)


@pytest.mark.services
def test_a_unix_socket_takes_more_at_once_than_it_does_by_itself() -> None:
    """On uvloop, as a worker runs; and the connection is begun as any other."""

    async def send_buffer(url: str) -> int:
        async with connect_async(f"{url}?db=3", timeout_s=5.0) as client:
            connection: Any = await client.connection_pool.get_connection()
            info = connection._writer.get_extra_info("socket")
            size = int(info.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
            await client.connection_pool.release(connection)
            await client.set("a", b"x" * (1 << 20))
            assert await client.strlen("a") == 1 << 20
            return size

    one, other = socket.socketpair()
    with RedisServer() as server, one, other:
        found = uvloop.run(send_buffer(server.url))
        assert found == granted_buffer_bytes()
        assert found > one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        with redis.Redis.from_url(f"{server.url}?db=3") as client:
            assert client.exists("a")


@pytest.mark.parametrize("scheme", ["redis", "rediss+cluster"])
@pytest.mark.parametrize("password", ["s3cret/PW", "12/s3cretPW", "s3cret#PW", "s3cret?PW"])
@pytest.mark.parametrize("make", [connect, partial(connect_async, timeout_s=1.0)])
def test_a_password_that_is_not_encoded_is_a_sentence(
    make: Callable[[str], Any], password: str, scheme: str
) -> None:
    """The library would quote a part of it, or take another host."""
    with pytest.raises(SettingError, match="percent-encode") as caught:
        make(f"{scheme}://:{password}@one:7000")
    assert "s3cret" not in str(caught.value)


def test_files_of_tls_want_tls(tmp_path: Path) -> None:
    """And want to be there."""
    own = {"redis_ssl_ca_location": str(tmp_path / "none.pem")}
    with pytest.raises(SettingError, match="rediss://, because redis_ssl_ca_location"):
        connect(Settings(**own))
    with pytest.raises(SettingError, match="redis_ssl_ca_location"):
        connect(Settings(redis_url="rediss://one", **own))


@pytest.mark.parametrize("url", ["cluster://one", "unix+cluster:///a", "redis+cluster:one"])
def test_what_names_no_redis_is_refused(url: str) -> None:
    """Before anything connects."""
    with pytest.raises(SettingError, match="redis_url"):
        load_settings({"FRESHET_REDIS_URL": url})


@pytest.mark.services
async def test_no_command_is_no_answer(client: Any) -> None:
    """And no key is no group."""
    assert await together(client, []) == []
    assert by_slot(client, []) == []


@pytest.mark.services
async def test_answers_stand_in_the_order_of_the_commands(client: Any) -> None:
    """Whatever node gave them."""
    await together(client, [("HSET", key, "next", p) for p, key in enumerate(POSITIONS)])
    found = await together(client, [("HGET", key, "next") for key in POSITIONS])
    assert found == [str(p).encode() for p in range(8)]


@pytest.mark.services
async def test_an_error_is_raised_or_stands_for_its_answer(client: Any) -> None:
    """The commands beside it are carried out in both cases."""
    await client.set(POSITIONS[0], "a string")
    commands = [("HGET", POSITIONS[0], "next"), ("HSET", POSITIONS[1], "next", 1)]
    wrong, done = await together(client, commands, raise_errors=False)
    assert isinstance(wrong, ResponseError)
    assert done == 1
    with pytest.raises(ResponseError):
        await together(client, commands)


@pytest.mark.services
async def test_a_script_is_sent_to_the_partition_of_its_keys(client: Any) -> None:
    """An unknown one is told for each command; loading it once is enough for all nodes."""
    script = client.register_script("return redis.call('HINCRBY', KEYS[1], 'n', ARGV[1])")
    commands = [("EVALSHA", script.sha, 1, key, 2) for key in POSITIONS]
    found = await together(client, commands, raise_errors=False)
    assert all(isinstance(each, NoScriptError) for each in found)
    await client.script_load(script.script)
    assert await together(client, commands) == [2] * 8


@pytest.mark.services
async def test_the_keys_of_a_group_may_stand_in_one_command(client: Any) -> None:
    """Every key is in one group, and no group crosses a slot."""
    keys = [key for p in range(4) for key in (KEYS.user_position(p), KEYS.user_changes(p))]
    groups = by_slot(client, keys)
    assert sorted(key for group in groups for key in group) == sorted(keys)
    for group in groups:
        assert await client.exists(*group) == 0


@pytest.mark.services
def test_every_server_tells_of_itself(url: str) -> None:
    """One of one, three of a cluster."""
    with connect(url, timeout_s=5.0) as client:
        infos = server_infos(client)
    assert len(infos) == (3 if "cluster" in url else 1)
    assert all(info["redis_version"] for info in infos)


@pytest.mark.services
def test_a_connection_that_was_closed_fails_one_command_as_the_library_does(url: str) -> None:
    """On the loop of our processes; the next command has a new connection."""

    async def ask() -> None:
        client: Any = connect_async(url, timeout_s=5.0)
        await client.set("a", 1)
        if is_cluster(url):  # the pool of a single server looks at what it hands out
            (connection,) = client.get_node_from_key("a")._connections
            connection._writer.close()
            with pytest.raises(redis.ConnectionError, match="closed under way"):
                await client.get("a")
        assert await client.get("a") == b"1"
        await client.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())


@pytest.mark.parametrize("error", [AttributeError, RuntimeError])
async def test_what_a_writer_stumbles_over_is_an_error_of_the_client(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """One that is gone, and one that was closed."""

    async def stumble(*_: object, **__: object) -> None:
        raise error("no writer")

    monkeypatch.setattr(redis.asyncio.RedisCluster, "execute_command", stumble)
    client: Any = connect_async("redis+cluster://127.0.0.1:1", timeout_s=0.2)
    with pytest.raises(CLIENT_ERRORS, match="no writer"):
        await client.get("a")


async def test_a_cluster_that_is_away_is_an_error_of_the_client() -> None:
    """Not one of a kind of its own: the callers know these."""
    with pytest.raises(redis.ConnectionError):
        connect("redis+cluster://127.0.0.1:1", timeout_s=0.2)
    client: Any = connect_async("redis+cluster://127.0.0.1:1", timeout_s=0.2)
    with pytest.raises(CLIENT_ERRORS):
        await client.ping()
    with pytest.raises(CLIENT_ERRORS):
        await together(client, [("HGETALL", "a")], raise_errors=False)
    await client.aclose()
