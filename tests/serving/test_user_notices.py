"""Notices wake those who wait for a user, and only those."""

from __future__ import annotations

from serving.user_notices import UserNotices


async def test_a_change_wakes_all_who_wait_for_the_user() -> None:
    """And nobody else."""
    notices = UserNotices()
    ann, bob = notices.subscribe("ann"), notices.subscribe("bob")
    with ann as one, notices.subscribe("ann") as two, bob as other:
        notices.notify(["ann", "carl"])
        assert one.is_set()
        assert two.is_set()
        assert not other.is_set()
        notices.notify_all()
        assert other.is_set()


async def test_whoever_left_is_not_kept() -> None:
    """A user without waiting sockets costs nothing."""
    notices = UserNotices()
    with notices.subscribe("ann"):
        pass
    notices.notify(["ann"])
    assert not notices._waiting


def test_a_watcher_is_called_as_long_as_it_watches() -> None:
    """Also one that ends another's watch while it is called."""
    notices = UserNotices()
    calls: list[str] = []
    with notices.watch("ann", lambda: calls.append("a")):
        other = notices.watch("ann", lambda: other.__exit__(None, None, None))
        other.__enter__()
        notices.notify(["ann", "bob"])
        notices.notify_all()
    notices.notify(["ann"])
    assert calls == ["a", "a"]
    assert not notices._waiting
