"""Compiled loops: their law holds for every one that there is, and other types are refused."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import streams
from freshet.core.compiled import compiled, rows_of

PAIR = np.dtype([("left", "<i8"), ("right", "u1", (3,))])


def loops() -> dict[str, Any]:
    """All compiled functions of the folds, by their full names."""
    names = [f"streams.{module.name}" for module in pkgutil.iter_modules(streams.__path__)]
    return {
        f"{name}.{each}": loop
        for name in names
        for each, loop in inspect.getmembers(importlib.import_module(name))
        if isinstance(loop, Dispatcher) and loop.py_func.__module__ == name
    }


def literals(module: ModuleType) -> set[str]:
    """The names that a module gives to whole numbers, written out."""
    return {
        target.id
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_compiled_loops_read_nothing_of_another_module() -> None:
    """Their machine code is kept by their own file alone."""
    found = loops()
    assert len(found) > 5
    strange = []
    for name, loop in found.items():
        module = importlib.import_module(loop.py_func.__module__)
        own = literals(module)
        for used in set(loop.py_func.__code__.co_names) & set(vars(module)):
            value = getattr(module, used)
            near = isinstance(value, Dispatcher) and value.py_func.__module__ == module.__name__
            if value is not np and not near and used not in own:
                strange.append(f"{name} reads {used}")
    assert strange == []


def test_structures_are_read_and_changed_where_they_stand() -> None:
    """Fields, and arrays within them."""

    @compiled(rows_of(PAIR), numba.int64)
    def add(rows: Any, number: int) -> int:
        for row in rows:
            row.left += number
            row.right[2] = 7
        return len(rows)

    rows = np.zeros(3, PAIR)
    assert add(rows, 5) == 3
    assert rows["left"].tolist() == [5, 5, 5]
    assert rows["right"].tolist() == [[0, 0, 7]] * 3


def test_other_types_are_refused() -> None:
    """At once, and not compiled while events wait."""

    @compiled(rows_of("i8"))
    def total(rows: Any) -> int:
        return int(rows.sum())

    assert total(np.arange(3)) == 3
    with pytest.raises(TypeError, match="No matching definition"):
        total(np.arange(3.0))
    with pytest.raises(TypeError, match="No matching definition"):
        total(np.frombuffer(bytes(8), np.int64))


def test_without_a_folder_for_machine_code_it_is_made_at_every_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only system is no reason not to start."""
    njit = numba.njit

    def nowhere(*arguments: Any, **options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("no locator available")
        return njit(*arguments, **options)

    monkeypatch.setattr("numba.njit", nowhere)
    assert compiled(numba.int64)(lambda number: number + 1)(2) == 3
    assert "compiled at every start" in caplog.text
