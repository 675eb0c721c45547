"""A Redis that drops keys by itself is refused, however it says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio

from freshet.core.errors import SettingError
from freshet.core.state import eviction
from freshet.core.state.client import connect, connect_async
from freshet.core.state.eviction import eviction_policies, require_no_eviction
from freshet.embedded.redis import RedisServer


class Server(redis.asyncio.Redis):
    """A server that answers what it is made to, or forbids it."""

    def __init__(self, info: Any, config: Any) -> None:
        self._answers = {"memory": info, "maxmemory-policy": config}

    async def info(self, section: str) -> Any:  # type: ignore[override]
        return self._answer(section)

    async def config_get(self, name: str) -> Any:  # type: ignore[override]
        return self._answer(name)

    def _answer(self, name: str) -> Any:
        found = self._answers[name]
        if found is None:
            raise redis.exceptions.NoPermissionError("no permissions to run this command")
        return found


@pytest.mark.parametrize(
    ("info", "config", "policy"),
    [
        ({"maxmemory_policy": "noeviction"}, None, "noeviction"),
        ({"maxmemory_policy": "allkeys-lru"}, None, "allkeys-lru"),
        ({}, {"maxmemory-policy": "volatile-ttl"}, "volatile-ttl"),
        (None, {b"maxmemory-policy": b"x", "maxmemory-policy": b"allkeys-lfu"}, "allkeys-lfu"),
        (None, None, None),
        ({}, {}, None),
    ],
)
async def test_the_policy_is_asked_by_what_is_allowed(
    info: Any, config: Any, policy: str | None
) -> None:
    """INFO first; where neither is allowed, nobody is refused for what is not known."""
    server = Server(info, config)
    assert await eviction_policies(server) == [policy]
    if policy in ("noeviction", None):
        await require_no_eviction(server)
        return
    with pytest.raises(SettingError) as caught:
        await require_no_eviction(server)
    assert f"maxmemory-policy of Redis is {policy!r}, expected noeviction" in str(caught.value)
    assert "CONFIG SET maxmemory-policy noeviction" in str(caught.value)


async def test_what_is_not_known_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is for the operator to look."""
    with caplog.at_level("WARNING", logger=eviction.__name__):
        await require_no_eviction(Server(None, None))
    assert "does not say its maxmemory-policy" in caplog.text


@pytest.fixture
def lru(redis_server: RedisServer) -> Iterator[RedisServer]:
    """A Redis that drops the keys that were used least lately."""
    with connect(redis_server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        yield redis_server
        client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.services
async def test_a_real_server_is_refused(lru: RedisServer) -> None:
    """As it comes from INFO."""
    client = connect_async(lru.url, timeout_s=5)
    try:
        with pytest.raises(SettingError, match="allkeys-lru"):
            await require_no_eviction(client)
    finally:
        await client.aclose()
