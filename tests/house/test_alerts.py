"""Alerts fire on what they are for: every counter that they read is there before it rises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

SELECTOR = re.compile(r"\b(freshet_\w+|up|process_start_time_seconds)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
MINUTES = {"s": 1 / 60, "m": 1, "h": 60}

# Gauges of the partitions that a worker has: an alert cannot need one that is not assigned.
WHEN_ASSIGNED = {"freshet_consumer_lag_records"}

# What a server and a worker do when they start, in a process where nothing else has counted.
START = """
import json
from prometheus_client import REGISTRY
from serving.http.openapi import OPERATIONS
from serving.http.paths import Routes
from serving.http.request_metrics import start_at_zero
from serving.series import start_series_of_server
from streams import worker
from streams.exits import REASONS
from streams.pending_letters import start_at_zero as start_letters
from streams.series import start_series_of_worker

methods = {}
for each in OPERATIONS:
    methods.setdefault(each.path, set()).add(each.method.upper())
start_at_zero(Routes((path, some, False) for path, some in methods.items()).all)
start_series_of_server()
start_series_of_worker()
start_letters()
for reason in REASONS:
    worker.WORKER_RESTARTS.labels(reason)
samples = [(s.name, s.labels, s.value) for m in REGISTRY.collect() for s in m.samples]
print(json.dumps(samples))
"""


@pytest.fixture(scope="module")
def rules(root: Path) -> dict[str, dict[str, Any]]:
    """The rules by name."""
    parsed = yaml.safe_load((root / "docker/prometheus/alerts.yml").read_text())
    found = [rule for group in parsed["groups"] for rule in group["rules"]]
    return {rule.get("alert") or rule["record"]: rule for rule in found}


@pytest.fixture(scope="module")
def born() -> list[tuple[str, dict[str, str], float]]:
    """The series of processes that have just started."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, check=True, text=True)
    return [(name, labels, value) for name, labels, value in json.loads(done.stdout)]


def matches(labels: dict[str, str], matchers: str) -> bool:
    """Return whether a selector of PromQL matches a series."""
    for name, operator, value in MATCHER.findall(matchers or ""):
        found = labels.get(name, "")
        equal = re.fullmatch(value, found) is not None if "~" in operator else found == value
        if equal == operator.startswith("!"):
            return False
    return True


def test_every_series_that_an_alert_reads_is_born_at_zero(
    rules: dict[str, dict[str, Any]], born: list[tuple[str, dict[str, str], float]]
) -> None:
    """`increase` and `rate` see no rise of a series that is born with its first count."""
    looked_at = 0
    for rule_name, rule in rules.items():
        for name, matchers in SELECTOR.findall(rule["expr"]):
            if not name.startswith("freshet_") or name in WHEN_ASSIGNED:
                continue
            values = [value for each, labels, value in born if each == name
                      and matches(labels, matchers)]  # fmt: skip
            assert values, f"{rule_name}: {name}{{{matchers}}} is not there from the start"
            assert set(values) == {0.0}
            looked_at += 1
    assert looked_at > 30


def test_every_route_counts_its_faults_from_the_start(
    born: list[tuple[str, dict[str, str], float]],
) -> None:
    """25 answers of 500 between two scrapes are a rise of 25."""
    faults = {
        (labels["route"], labels["method"], labels["code"])
        for name, labels, _ in born
        if name == "freshet_http_requests_total"
    }
    for code in ("500", "503"):
        assert ("/v1/events", "POST", code) in faults
        assert ("/v1/recommendations", "GET", code) in faults
        assert ("/v1/recommendations", "POST", code) in faults
        assert ("/v1/items/{item_id}", "DELETE", code) in faults


def test_a_burst_that_is_over_within_a_minute_fires(rules: dict[str, dict[str, Any]]) -> None:
    """The letters wait, so the alert does not need to."""
    rule = rules["DeadLetters"]
    assert "rate(" not in rule["expr"]
    assert "freshet_dead_letters_pending_letters" in rule["expr"]
    assert "for" not in rule


def test_no_alert_waits_longer_than_its_window_remembers(
    rules: dict[str, dict[str, Any]],
) -> None:
    """A rate over 5 minutes is back at 0 before 5 minutes of waiting are over."""
    for name, rule in rules.items():
        windows = [
            float(number) * MINUTES[unit]
            for number, unit in re.findall(r"\[(\d+)([smh])\]", rule["expr"])
        ]
        if windows and "for" in rule and name not in {"AnswersDegraded"}:
            waits = re.fullmatch(r"(\d+)([smh])", rule["for"])
            assert waits is not None
            assert float(waits[1]) * MINUTES[waits[2]] < min(windows), name
