"""Requests that wait for an event are few, for each user and in all."""

from __future__ import annotations

from contextlib import ExitStack

from serving.event_waits import MAX_WAITS, MAX_WAITS_OF_USER, EventWaits


def test_a_user_waits_a_few_times_at_once() -> None:
    """And again once one of them has ended; another user is not harmed."""
    waits = EventWaits()
    with ExitStack() as others:
        for _ in range(MAX_WAITS_OF_USER - 1):
            assert others.enter_context(waits.wait("ann"))
        with waits.wait("ann") as last, waits.wait("ann") as beyond, waits.wait("bob") as other:
            assert (last, beyond, other) == (True, False, True)
        with waits.wait("ann") as again:
            assert again


def test_all_users_together_are_bounded() -> None:
    """Made-up users do not get round the limit, and leave nothing behind."""
    waits = EventWaits()
    with ExitStack() as stack:
        admitted = [stack.enter_context(waits.wait(f"u{n}")) for n in range(MAX_WAITS + 10)]
        assert admitted == [True] * MAX_WAITS + [False] * 10
    assert not waits._by_user
    with waits.wait("ann") as may_wait:
        assert may_wait
