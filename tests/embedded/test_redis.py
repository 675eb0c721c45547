"""A Redis server of our own, from either executable."""

import shutil
import sys
import sysconfig
from pathlib import Path

import pytest
import redis

from freshet.core.errors import ServiceError
from freshet.embedded import redis as embedded_redis
from freshet.embedded.redis import RedisServer, find_redis_server

pytestmark = pytest.mark.services


def _bundled(monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda _, path: None)
        return find_redis_server()


@pytest.fixture(params=["path", "wheel"])
def executable(request, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each executable that a user may have."""
    return find_redis_server() if request.param == "path" else _bundled(monkeypatch)


def test_it_answers_and_keeps_values(executable: str) -> None:
    """Both executables serve, and are new enough for scripts."""
    with RedisServer(executable=executable) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", "1")
        assert client.get("a") == b"1"
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "a") == b"1"
        assert tuple(map(int, client.info()["redis_version"].split(".")))[:2] >= (6, 2)


def test_an_activated_environment_does_not_hide_the_server_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel leaves its own in the environment's folder, which comes first on the PATH."""
    for folder in ("environment", "system"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "redis-server").touch(mode=0o755)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "environment"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'environment'}:{tmp_path / 'system'}")
    assert find_redis_server() == str(tmp_path / "system" / "redis-server")


def test_two_servers_do_not_meet() -> None:
    """Each has its own address and data."""
    with RedisServer() as one, RedisServer() as two:
        assert one.url != two.url
        redis.Redis.from_url(one.url).set("a", "1")
        assert redis.Redis.from_url(two.url).get("a") is None


@pytest.mark.parametrize(("durable", "kept"), [(True, b"1"), (False, None)])
def test_a_killed_server_comes_back_at_its_address(durable: bool, kept: bytes | None) -> None:
    """With `durable` it has its data again, without it starts empty."""
    with RedisServer(durable=durable) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", "1")
        server.kill()
        server.start()
        assert client.get("a") == kept


def test_a_missing_server_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install or to set."""
    monkeypatch.setattr(shutil, "which", lambda _, path: None)
    monkeypatch.setattr(embedded_redis.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ServiceError, match=r"install the package redis-server.*FRESHET_REDIS_URL"):
        find_redis_server()
