"""The processes of an installation: what is started, and how an end is noticed."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from freshet.commands.processes import require_running, start_backends, start_server
from freshet.core.errors import ServiceError
from freshet.core.settings import Settings
from freshet.embedded.child import Child

pytestmark = pytest.mark.services

NAMED = Settings(kafka_bootstrap="kafka:9092", redis_url="redis://redis:6379")


def test_what_is_not_named_is_started_and_ends_with_the_stack(tmp_path: Path) -> None:
    """With settings that name it."""
    with ExitStack() as stack:
        settings = start_backends(stack, Settings(), logs=tmp_path, environ={})
        assert settings.kafka_bootstrap != Settings().kafka_bootstrap
        with redis.Redis.from_url(settings.redis_url) as client:
            assert client.ping()
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(settings.redis_url) as client:
        client.ping()


@pytest.mark.parametrize(
    ("settings", "environ"),
    [
        (NAMED, {}),
        (Settings(), {"FRESHET_KAFKA_BOOTSTRAP": "", "FRESHET_REDIS_URL": ""}),
    ],
)
def test_what_is_named_is_not_started(
    tmp_path: Path, settings: Settings, environ: dict[str, str]
) -> None:
    """In a file, or in the environment, be it the default."""
    with ExitStack() as stack:
        assert start_backends(stack, settings, logs=tmp_path, environ=environ) == settings
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_ended_by_itself_is_noticed(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """By name, with its last words."""
    child = Child("oracle", [sys.executable, "-c", "print('bye'); exit(3)"], log=tmp_path / "log")
    wait_until(lambda: not child.running)
    with pytest.raises(ServiceError, match=r"oracle: ended with code 3\nbye"):
        require_running([child])
    require_running([])


def test_a_server_that_does_not_start_is_an_error_with_its_log(tmp_path: Path) -> None:
    """It is not waited for."""
    wrong = Settings(log_level="LOUD")
    with pytest.raises(ServiceError, match=r"server: ended with code 2\n.*log_level is 'LOUD'"):
        start_server(wrong, log=tmp_path / "server.log")
