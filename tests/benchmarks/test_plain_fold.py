"""Tests of benchmarks.peers: the fold that all peers share, and where each of them lives."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import environment
from benchmarks.peers.environment import REQUIREMENTS, python_of, requirements_of
from benchmarks.peers.plain_fold import fold_event
from freshet.core.errors import ServiceError


class Pipe:
    """Takes down the commands."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.commands.append((name, *arguments))


def folded(*events: tuple[str, str, str]) -> list[tuple[Any, ...]]:
    """The commands of events of (type, user, item)."""
    pipe, last_visit = Pipe(), {}
    for kind, user, item in events:
        fold_event(pipe, kind, user, item, 75_000, last_visit)
    return pipe.commands


def test_an_impression_is_counted_and_nothing_more() -> None:
    """On both sides."""
    assert folded(("impression", "u", "a")) == [
        ("hincrby", "plain:u:u", "impression", 1),
        ("hincrby", "plain:i:a", "impression", 1),
    ]


def test_a_visit_after_a_visit_of_the_same_user_is_a_transition() -> None:
    """A like between them is none, and neither is the visit of another user."""
    found = folded(("click", "u", "a"), ("like", "u", "b"), ("view", "v", "c"), ("view", "u", "d"))
    assert [each for each in found if each[1].startswith("plain:next")] == [
        ("zincrby", "plain:next:a", 1, "d")
    ]


def test_every_interaction_enters_the_history_and_a_bucket_of_time() -> None:
    """The history is cut to its length."""
    assert folded(("like", "u", "a"))[2:] == [
        ("lpush", "plain:u:u:history", "a like 75000"),
        ("ltrim", "plain:u:u:history", 0, 49),
        ("zincrby", "plain:trend:1", 1, "a"),
    ]


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_peer_gets_the_redis_client_that_we_have(name: str) -> None:
    """Pinned, so that none is slower for an older one."""
    wanted = requirements_of(name)
    assert {each.split("==")[0] for each in wanted} >= {"redis", "hiredis"}
    assert all("==" in each or each == "orjson" for each in wanted)


def test_a_finished_environment_is_used_and_an_unfinished_one_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stamp names the requirements; without it nothing of the old one stays."""
    commands: list[str] = []

    def run(_name: str, command: list[str]) -> None:
        commands.append(" ".join(command))
        (tmp_path / "quix" / "bin").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(environment, "_run", run)
    (tmp_path / "quix").mkdir()
    (tmp_path / "quix" / "half").touch()
    python = python_of("quix", tmp_path)
    assert python == str(tmp_path / "quix" / "bin" / "python")
    assert not (tmp_path / "quix" / "half").exists()
    assert len(commands) == 2
    assert python_of("quix", tmp_path) == python
    assert len(commands) == 2
    monkeypatch.setitem(REQUIREMENTS, "quix", ("quixstreams==3.29.*",))
    python_of("quix", tmp_path)
    assert len(commands) == 4


def test_an_environment_that_cannot_be_made_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves no stamp."""
    monkeypatch.setattr(environment.sys, "executable", "/bin/false")
    with pytest.raises(ServiceError, match="--no-peers"):
        python_of("bytewax", tmp_path)
    assert not (tmp_path / "bytewax" / "requirements.txt").exists()
