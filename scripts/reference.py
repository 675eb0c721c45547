"""Write docs/reference.md: settings, metrics, topics, keys, routes and verbs, from the code itself.

usage: python scripts/reference.py docs/reference.md
A test compares the file with what this writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from freshet.commands.main import VERBS
from freshet.core import metrics
from freshet.core.events.schema import EVENT_TYPES
from freshet.core.events.topics import Topics
from freshet.core.settings import describe_settings
from freshet.core.state import keys
from serving.http.openapi import OPERATIONS

HEAD = """# Reference

Written by `make docs` from the code; a test holds it to that. The README explains.
"""

KINDS: dict[type[MetricWrapperBase], str] = {
    Counter: "counter",
    Gauge: "gauge",
    Histogram: "histogram",
}


def reference() -> str:
    """Return the text of docs/reference.md."""
    sections = {
        "Settings": settings_table(),
        "Verbs": table(["verb", "what it does"], [(f"`freshet {v}`", m) for v, m in VERBS.items()]),
        "HTTP routes": routes_table(),
        "Event types": ", ".join(f"`{name}`" for name in EVENT_TYPES),
        "Kafka topics": topics_table(),
        "Redis keys": keys_table(),
        "Metrics": metrics_table(),
    }
    return HEAD + "".join(f"\n## {title}\n\n{body}\n" for title, body in sections.items())


def settings_table() -> str:
    """Return every setting with its default and meaning."""
    rows = [
        (
            f"`{name}`",
            f"`FRESHET_{name.upper()}`",
            "none" if default == () else f"`{default}`",
            meaning,
        )
        for name, default, meaning in describe_settings()
    ]
    return table(["in the file", "in the environment", "default", "meaning"], rows)


def routes_table() -> str:
    """Return every route with what it answers."""
    rows = [
        (
            f"`{each.method.upper()} {each.path}`",
            each.summary,
            each.status,
            ", ".join(map(str, each.problems)),
        )
        for each in OPERATIONS
    ]
    return table(["route", "what it does", "success", "problems"], rows)


def topics_table() -> str:
    """Return every topic of the default namespace with what travels on it."""
    topics = Topics("freshet")
    named = {
        getattr(topics, name): member.__doc__
        for name, member in vars(Topics).items()
        if isinstance(member, property)
    }
    rows = [
        (f"`{name}`", str(named[name]).rstrip("."), config["cleanup.policy"])
        for name, config in topics.all().items()
    ]
    return table(["topic", "what it holds", "cleanup"], rows)


def keys_table() -> str:
    """Return the table of keys that stands in the module of the keys."""
    lines = [line for line in (keys.__doc__ or "").splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return table(head, [(f"`{key}`", *rest) for key, *rest in rows])


def metrics_table() -> str:
    """Return every metric with its kind and labels."""
    rows = [
        (f"`{name}`", KINDS[type(metric)], ", ".join(metric._labelnames), metric._documentation)
        for name, metric in exported_metrics().items()
    ]
    return table(["metric", "kind", "labels", "meaning"], rows)


def exported_metrics() -> dict[str, Any]:
    """Return the metrics of Freshet by the name that Prometheus sees."""
    found = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    return {each._name + "_total" * isinstance(each, Counter): each for each in found}


def table(head: list[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference())
