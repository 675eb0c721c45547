"""Every key is in the table, lies where it should, and is in the hash of the state or left out."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from freshet.core.state import keys
from freshet.core.state.keys import Keys
from freshet.core.state.reader import LEFT_OUT, SECTIONS, state_digest

NAMES = [name for name, _ in inspect.getmembers(Keys) if not name.startswith("_")]
NAMES.remove("namespace")


def key_of(name: str, partition: int = 3) -> str:
    """The key that a name of `Keys` stands for."""
    found = getattr(Keys("ns"), name)
    return found if isinstance(found, str) else str(found(partition))


class Looked:
    """An empty Redis that notes what is read."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        self.keys.add(key)
        return {}

    def hscan_iter(self, key: str, count: int) -> Any:
        self.keys.add(key)
        return iter(())


def hashed() -> set[str]:
    """The names of the keys that the hash of the state is made of."""
    looked: Any = Looked()
    assert set(state_digest(looked, "ns", 4)) == set(SECTIONS)
    return {name for name in NAMES if key_of(name) in looked.keys}


def test_every_key_is_hashed_or_left_out_for_a_reason() -> None:
    """One or the other, so that a new key is not forgotten: law 4 is about the whole state."""
    assert hashed() | set(LEFT_OUT) == set(NAMES)
    assert not hashed() & set(LEFT_OUT)
    assert all(LEFT_OUT.values())


def test_the_table_has_every_key() -> None:
    """And no other."""
    assert keys.__doc__ is not None
    table = re.findall(r"^\| (ns:\S+) +\|", keys.__doc__, re.MULTILINE)
    patterns = [key_of(name).replace("{u3}", "{u<p>}").replace("{i3}", "{i<p>}") for name in NAMES]
    assert sorted(table) == sorted(patterns)
    assert len(set(table)) == len(table)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_lies_with_its_partition(name: str) -> None:
    """Its hash tag names side and partition, so that one script may write it with the others."""
    if name == "meta":
        assert key_of(name) == "ns:meta"
        return
    assert re.fullmatch(r"ns:\{[ui]3\}:[a-z-]+", key_of(name))
    assert len({key_of(name, partition) for partition in range(20)}) == 20


def test_namespaces_do_not_meet() -> None:
    """No key of one is a key of another, whatever the names are."""
    one, other = ({getattr(Keys(ns), name)(0) for name in NAMES if name != "meta"} for ns in "ab")
    assert not one & other
