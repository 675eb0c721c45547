"""The limit of open descriptors."""

from __future__ import annotations

import resource

import pytest

from freshet.core.descriptors import raise_descriptor_limit


def test_the_limit_becomes_what_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft one; the hard one stays."""
    limits = [1_024, 20_000]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    assert raise_descriptor_limit() == 20_000
    assert limits == [20_000, 20_000]


def test_a_limit_that_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems call no limit a limit that they do not take."""

    def refuse(_: int, __: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, -1))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_descriptor_limit() == 256
