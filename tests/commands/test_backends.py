"""The backends of an installation: started where nobody named one, and only there."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from freshet.commands.backends import Durable, start_backends
from freshet.core.errors import ServiceError, SettingError
from freshet.core.settings import Settings

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


def test_a_named_kafka_beside_one_to_be_started_is_refused(tmp_path: Path) -> None:
    """Nobody can mean both; nothing is started or written."""
    with ExitStack() as stack, pytest.raises(SettingError, match="no address beside --kafka"):
        start_backends(
            stack, NAMED, logs=tmp_path, durable=Durable(folder=tmp_path / "kept"), environ={}
        )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_java_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start chooses its brokers anew."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with ExitStack() as stack, pytest.raises(ServiceError, match="no java on the PATH; install"):
        start_backends(
            stack, Settings(), logs=tmp_path, durable=Durable(folder=tmp_path / "kept"), environ={}
        )
    assert list(tmp_path.iterdir()) == []
