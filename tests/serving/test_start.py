"""How many partitions there are, said by whichever of the two neighbours is up."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from freshet.core.errors import ServiceError, SettingError
from freshet.core.state import eviction
from freshet.core.state.keys import Keys
from serving import start
from serving.start import first_known, require_lasting_state, stored_partitions


class Source:
    """Fails some times, then returns a number."""

    def __init__(self, failures: int, partitions: int = 8) -> None:
        self.failures = failures
        self.partitions = partitions
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        if self.asked <= self.failures:
            raise ServiceError("kafka", "down")
        return self.partitions


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "RETRY_S", 0)


async def test_kafka_is_asked_first() -> None:
    """What it says counts; Redis is not asked."""
    of_redis = Source(0, 4)
    assert await first_known(Source(0), of_redis) == (8, True)
    assert of_redis.asked == 0


async def test_redis_will_do_while_kafka_is_away() -> None:
    """And it is known that Kafka did not say it."""
    assert await first_known(Source(1), Source(0, 4)) == (4, False)


async def test_while_both_are_away_it_is_waited_for_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whichever comes first."""
    assert await first_known(Source(99), Source(5, 4)) == (4, False)
    assert await first_known(Source(3), Source(99)) == (8, True)
    assert [line for line in caplog.messages if "waiting" in line] == [
        "waiting for Kafka or Redis: kafka: down; kafka: down"
    ] * 2


class Policy:
    """Fails some times, then says its policy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int, policy: str) -> None:
        self.failures, self.policy = failures, policy
        monkeypatch.setattr(eviction, "eviction_policies", self.ask)

    async def ask(self, _client: Any) -> list[str]:
        self.failures -= 1
        if self.failures >= 0:
            raise redis.ConnectionError("down")
        return [self.policy]


async def test_a_redis_that_drops_keys_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it answers; one that keeps them does not."""
    nobody: Any = None
    Policy(monkeypatch, 3, "noeviction")
    await require_lasting_state(nobody)
    Policy(monkeypatch, 2, "allkeys-lru")
    with pytest.raises(SettingError, match="allkeys-lru"):
        await require_lasting_state(nobody)


class Redis:
    """Holds one field, or fails."""

    def __init__(self, value: bytes | Exception | None) -> None:
        self.value = value

    async def hget(self, key: str, field: str) -> bytes | None:
        assert (key, field) == ("test:meta", "partitions")
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"0", b"abc", b"-4", b"257", redis.ConnectionError("refused"),
        redis.ResponseError("WRONGTYPE Operation against a key"),
    ],
)  # fmt: skip
async def test_what_redis_does_not_say_is_an_error_of_the_service(value: Any) -> None:
    """Nothing, nonsense, or no reply."""
    client: Any = Redis(value)
    with pytest.raises(ServiceError, match="redis"):
        await stored_partitions(client, Keys("test"))


async def test_redis_says_what_the_first_worker_wrote() -> None:
    """A number of partitions."""
    client: Any = Redis(b"16")
    assert await stored_partitions(client, Keys("test")) == 16
