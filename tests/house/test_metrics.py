"""Metrics: their names, and everything outside the code that names them."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client import Histogram

NAME = re.compile(r"\bfreshet_[a-z0-9_]+")
SELECTOR = re.compile(r"\b(freshet_[a-z0-9_]+)\{([^}]*)\}")
CLIENT_METRICS = {"process_start_time_seconds", "up"}  # of every process that is scraped


@pytest.fixture(scope="module")
def metrics(reference: ModuleType) -> dict[str, Any]:
    """The metrics of the code by exported name."""
    found: dict[str, Any] = reference.exported_metrics()
    return found


@pytest.fixture(scope="module")
def expressions(root: Path) -> list[str]:
    """Every PromQL expression of the dashboard and of the alerts."""
    board = json.loads((root / "docker/grafana/dashboards/freshet.json").read_text())
    targets = [target for panel in board["panels"] for target in panel.get("targets", [])]
    alerts = yaml.safe_load((root / "docker/prometheus/alerts.yml").read_text())
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    return [each["expr"] for each in targets + rules]


def series_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """The series that Prometheus scrapes: a histogram has three."""
    series = dict(metrics)
    for name, metric in metrics.items():
        if isinstance(metric, Histogram):
            series |= {name + end: metric for end in ("_bucket", "_count", "_sum")}
    return series


def test_names_say_what_is_counted_and_in_which_unit(metrics: dict[str, Any]) -> None:
    """freshet_<noun>_<unit>[_total], in base units; durations in seconds."""
    for name, metric in metrics.items():
        assert NAME.fullmatch(name), name
        assert not re.search(r"_(ms|millis|us|minutes)(_|$)", name), name
        assert name.endswith("_total") is (metric._type == "counter"), name
        if isinstance(metric, Histogram):
            assert name.endswith(("_seconds", "_events")), name


def test_labels_are_bounded(metrics: dict[str, Any]) -> None:
    """No label may be a person, an item, a request or an offset."""
    for name, metric in metrics.items():
        assert not {"user", "user_id", "item", "item_id", "request_id", "offset"} & set(
            metric._labelnames
        ), name


def test_dashboard_and_alerts_name_only_metrics_that_exist(
    metrics: dict[str, Any], expressions: list[str]
) -> None:
    """A renamed metric cannot leave an empty panel or a mute alert."""
    series = series_of(metrics)
    assert len(expressions) > 40
    for expression in expressions:
        for name in NAME.findall(expression):
            assert name in series, expression
            assert not (isinstance(series[name], Histogram) and name in metrics), expression


def test_selectors_name_only_labels_that_exist(
    metrics: dict[str, Any], expressions: list[str]
) -> None:
    """Neither do the labels."""
    series = series_of(metrics)
    for expression in expressions:
        for name, selector in SELECTOR.findall(expression):
            labels = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', selector))
            known = {*series[name]._labelnames, *(["le"] if name.endswith("_bucket") else [])}
            assert labels <= known, expression


def test_objectives_are_exact_buckets(metrics: dict[str, Any], expressions: list[str]) -> None:
    """A threshold between two buckets would be a guess."""
    found = [
        (metrics[name.removesuffix("_bucket")], float(bound))
        for expression in expressions
        for name, bound in re.findall(r'(freshet_\w+_bucket)\{[^}]*le="([^"]+)"', expression)
    ]
    assert found
    for metric, bound in found:
        assert bound in metric._kwargs["buckets"]


def test_every_metric_is_on_the_dashboard(metrics: dict[str, Any], expressions: list[str]) -> None:
    """What is worth counting is worth a look."""
    shown = {name for expression in expressions for name in NAME.findall(expression)}
    shown |= {re.sub("_(bucket|count|sum)$", "", name) for name in shown}
    assert set(metrics) <= shown
