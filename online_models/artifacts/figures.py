"""Figures out of what a trainer measured, whose keys and values are free.

Law: what is not where it is looked for, or is no number, is not there; a bundle of another trainer
can be listed and shown like our own.
"""

from __future__ import annotations

from typing import Any


def section(metrics: Any, *path: str) -> dict[str, Any]:
    """Return the object at a path; an empty one where there is none.

    >>> section({"test": {"ranker": {"mrr": 0.5}}, "tasks": [1]}, "test")
    {'ranker': {'mrr': 0.5}}
    >>> section({"test": [1]}, "test", "ranker")
    {}
    """
    for name in path:
        metrics = metrics.get(name) if isinstance(metrics, dict) else None
    return metrics if isinstance(metrics, dict) else {}


def numbers(metrics: Any, *path: str) -> dict[str, float]:
    """Return the numbers of the object at a path, by name.

    >>> numbers({"ranker": {"mrr": 0.5, "n": 3, "note": "x", "ok": True}}, "ranker")
    {'mrr': 0.5, 'n': 3}
    """
    return {
        name: value
        for name, value in section(metrics, *path).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def remarks(metrics: Any) -> list[str]:
    """Return the sentences of a trainer on its bundle.

    >>> remarks({"remarks": ["short log", 7]}), remarks({"remarks": "no list"})
    (['short log'], [])
    """
    found = metrics.get("remarks") if isinstance(metrics, dict) else None
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
