"""Requests go before pushes, and pushes come one at a time."""

from __future__ import annotations

import asyncio

import pytest

from serving.feeds import turns
from serving.feeds.turns import Turns
from tests.serving.conftest import until


async def test_a_push_waits_for_the_requests_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all of them."""
    monkeypatch.setattr(turns, "MAX_WAIT_S", 30.0)
    order = Turns()
    done: list[str] = []

    async def push() -> None:
        async with order.push():
            done.append("push")

    with order.request():
        with order.request():
            pushing = asyncio.create_task(push())
            for _ in range(10):
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        done.append("request")
    await pushing
    assert done == ["request", "push"]


async def test_a_push_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may always be a request."""
    monkeypatch.setattr(turns, "MAX_WAIT_S", 0.001)
    order = Turns()
    with order.request():
        async with order.push():
            pass


async def test_pushes_follow_each_other_with_a_look_at_the_loop_between() -> None:
    """What arrived meanwhile has its turn first."""
    order = Turns()
    done: list[str] = []

    async def push(name: str) -> None:
        async with order.push():
            done.append(name)
            asyncio.get_running_loop().call_soon(done.append, f"arrived in {name}")
            assert len(done) % 2

    await asyncio.gather(push("a"), push("b"), push("c"))
    await until(lambda: len(done) == 6)
    assert done == ["a", "arrived in a", "b", "arrived in b", "c", "arrived in c"]
