"""A mailbox: the newest push, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from serving.feeds.mailbox import Mailbox, Push


async def test_only_the_newest_push_is_taken() -> None:
    """Those before it would be out of date."""
    mailbox = Mailbox()
    assert mailbox.waits
    mailbox.put(Push(None, "old"))
    mailbox.put(Push(None, "new"))
    assert not mailbox.waits
    assert await mailbox.take() == Push(None, "new")
    taking = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    mailbox.put(Push(None, "newer"))
    assert await taking == Push(None, "newer")


async def test_a_closed_mailbox_gives_nothing() -> None:
    """Also what was put into it before."""
    mailbox = Mailbox()
    mailbox.put(Push(None, "unsent"))
    mailbox.close()
    assert await mailbox.take() is None
    assert await mailbox.take() is None


async def test_the_error_is_raised_to_the_taker() -> None:
    """The first one; the client that leaves after it changes nothing."""
    mailbox = Mailbox()
    mailbox.close(ValueError("a bug"))
    mailbox.close()
    with pytest.raises(ValueError, match="a bug"):
        await mailbox.take()
