"""How the tests are shared out between two processes."""

import gzip
from types import SimpleNamespace
from typing import Any

import pytest

from ..conftest import pytest_make_parametrize_id
from ..distribution import ALONE, FileScheduling, alone_last


class Item:
    """A collected test."""

    def __init__(self, name: str, *marks: str) -> None:
        self.nodeid = name
        self.marks = dict.fromkeys(marks, pytest.mark.alone.mark)

    def get_closest_marker(self, name: str) -> object:
        return self.marks.get(name)

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.marks[mark.name] = mark.mark


def test_what_is_alone_is_last_and_one_group() -> None:
    """The order is kept otherwise."""
    items: Any = [Item("a"), Item("b", ALONE), Item("c"), Item("d", ALONE)]
    assert [item.nodeid for item in alone_last(items)] == ["a", "c", "b", "d"]
    groups = [getattr(item.marks.get("xdist_group"), "args", None) for item in items]
    assert groups == [None, (ALONE,), None, (ALONE,)]


def test_a_file_stays_together() -> None:
    """Whatever its tests are called; those that are alone stay together over all files."""
    scheduling: Any = SimpleNamespace()
    scopes = {
        name: FileScheduling._split_scope(scheduling, name)
        for name in ("tests/a.py::test_b[x::y@z]", "tests/a.py::test_c", "tests/a.py::test_d@alone",
                     "tests/e.py::test_f[1]@alone", "freshet/g.py::freshet.g.h")
    }  # fmt: skip
    assert list(scopes.values()) == ["tests/a.py", "tests/a.py", ALONE, ALONE, "freshet/g.py"]


def test_names_of_tests_do_not_hold_the_time() -> None:
    """Each process names the tests by itself, in a second of its own."""
    for now_s in (1, 2):
        assert pytest_make_parametrize_id(gzip.compress(b"x", mtime=now_s), "raw") == "raw"
    assert pytest_make_parametrize_id(b"x", "raw") is None
    assert pytest_make_parametrize_id("x", "raw") is None
