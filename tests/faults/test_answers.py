"""What a visitor is answered: about items that nobody offers, as a stranger, without Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest

from freshet.commands.processes import Server
from freshet.core.settings import Settings

from .conftest import Measured, Running
from .proxy import Proxy
from .visitor import UNCOUNTED, visiting

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

OFFERED = tuple(f"item-{number}" for number in range(1, 11))


@pytest.fixture
def proxy(running: Running) -> Iterator[Proxy]:
    """What stands between a server and Redis."""
    proxy = Proxy(running.redis.url)
    yield proxy
    proxy.close()


@pytest.fixture
def feed(running: Running, server: Callable[[Settings], Server]) -> httpx.Client:
    """A server beside the worker, with ten items on offer."""
    running.stream.offer(*OFFERED)
    running.stream.send(500)
    running.stream.catch_up()
    url = server(running.stream.settings).url
    return httpx.Client(base_url=url, timeout=5, params=UNCOUNTED)


@pytest.mark.fault(46, promise="events on it count; it is in no list, and in none once withdrawn")
@pytest.mark.fault(47, promise="a full list at once, that says it is not personal")
def test_strangers_are_met_with_a_list_and_unknown_items_stay_out_of_it(
    running: Running, feed: httpx.Client, wait_until: Callable[..., None], measured: Measured
) -> None:
    """Through the log, the folds and a server."""
    stream = running.stream

    def listed(user: str) -> set[str]:
        answer = feed.get("/v1/recommendations", params={"user": user, "k": 20})
        assert answer.status_code == 200, answer.text
        return {item["item_id"] for item in answer.json()["items"]}

    stream.send(50, item="item-nobody-offers")
    stream.catch_up()
    started = time.perf_counter()
    answer = feed.get("/v1/recommendations", params={"user": "nobody", "k": 10}).json()
    answered_ms = 1000 * (time.perf_counter() - started)
    assert len(answer["items"]) == len(OFFERED)
    assert not answer["personalised"]
    for user in ("nobody", "user-1", "user-2"):
        assert listed(user) <= set(OFFERED)
    stream.withdraw("item-1")
    wait_until(lambda: "item-1" not in listed("nobody"), what="the withdrawn item is gone")
    stream.send(20, item="item-1")
    stream.catch_up()
    assert "item-1" not in listed("nobody")
    stream.check()
    measured(answered_ms=answered_ms)


@pytest.mark.parametrize(
    "delay_s",
    [
        pytest.param(
            0.2,
            id="slow",
            marks=pytest.mark.fault(17, promise="every request gets its list, then whole ones"),
        ),
        pytest.param(
            None,
            id="silent",
            marks=pytest.mark.fault(18, promise="every request gets its list, then whole ones"),
        ),
    ],
)
def test_a_redis_that_is_slow_or_silent_spoils_no_answer(
    running: Running,
    server: Callable[[Settings], Server],
    proxy: Proxy,
    wait_until: Callable[..., None],
    measured: Measured,
    delay_s: float | None,
) -> None:
    """Lists are made of what the server has in memory, and say what they lack."""
    running.stream.offer(*OFFERED)
    settings = msgspec.structs.replace(running.stream.settings, redis_url=proxy.url)
    url = server(settings).url

    def degraded() -> list[str]:
        asked = {"user": "user-1"} | UNCOUNTED
        words: list[str] = httpx.get(f"{url}/v1/recommendations", params=asked).json()["degraded"]
        return words

    assert "user_state" not in degraded()
    proxy.slow(delay_s) if delay_s else proxy.cut()
    with visiting(url, "user-1") as visits:
        wait_until(lambda: visits.codes.total() > 30, what="requests without Redis")
        assert "user_state" in degraded()
    proxy.mend()
    visits.check()
    wait_until(lambda: "user_state" not in degraded(), what="answers are whole again")
    measured(requests=visits.codes.total(), slowest_ms=visits.slowest_ms)
