"""`freshet doctor`: what is reachable, what is wrong, and what to do about it."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click
import msgspec

from freshet.commands.findings import (
    Finding,
    judge_configs,
    judge_lag,
    judge_layout,
    judge_redis,
    judge_send_buffer,
    judge_times,
    judge_topics,
    judge_width,
)
from freshet.core.address import http_url, is_taken
from freshet.core.clock import system_clock
from freshet.core.distribution import install_advice
from freshet.core.errors import BundleError, FreshetError
from freshet.core.settings import (
    Settings,
    describe_settings,
    load_settings,
    shown_value,
    value_text,
)

NEEDED = ("confluent-kafka", "faust-streaming", "cramjam", "redis", "numpy", "onnxruntime",
          "hnswlib", "litestar", "uvicorn")  # fmt: skip
TIMEOUT_S = 3.0
LOOK_TWICE_S = 1.0
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--settings", "list_settings", is_flag=True, help="Print every setting and end.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(list_settings: bool, as_json: bool) -> None:
    """Look at everything that an installation needs and say what to do.

    The exit code is 1 when something fails, 0 when all is well or worth a warning only.

    \b
    Examples:
      freshet doctor
      freshet doctor --settings      every setting: value, default, meaning
      freshet doctor --json | jq .
    """
    settings = load_settings()
    if list_settings:
        _print_settings(settings)
        return
    findings = []
    for finding in diagnose(settings):
        findings.append(finding)
        if not as_json:
            _print_finding(finding)
    failed = any(finding.level == "fail" for finding in findings)
    if as_json:
        click.echo(msgspec.json.encode({"ok": not failed, "findings": findings}).decode())
    sys.exit(1 if failed else 0)


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Yield what is found, as it is found."""
    yield from _packages()
    widths: dict[str, int] = {}
    yield from _kafka(settings, widths)
    partitions = max(widths.values(), default=0)
    yield from _redis(settings, partitions)
    if partitions:
        yield from _tried("folds", lambda: _folds(settings, partitions))
    yield from _models(settings)
    yield from _server(settings)


def _packages() -> Iterator[Finding]:
    python = platform.python_version()
    new_enough = sys.version_info >= (3, 11)
    advice = "" if new_enough else "Python 3.11 or newer is needed"
    yield Finding("ok" if new_enough else "fail", "python", python, advice)
    found = {}
    for name in NEEDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            yield Finding("fail", "package", f"{name} is missing", "run `make setup`")
    yield Finding("ok", "packages", ", ".join(f"{name} {number}" for name, number in found.items()))
    try:
        yield Finding("ok", "training", f"torch {version('torch')}")
    except PackageNotFoundError:
        yield Finding("warn", "training", "no torch",
                      f"to train here, {install_advice('train')}")  # fmt: skip


def _kafka(settings: Settings, widths: dict[str, int]) -> Iterator[Finding]:
    from confluent_kafka import KafkaException

    from freshet.core.events.cluster import Cluster
    from freshet.core.events.topic_configs import differences, read_configs
    from freshet.core.events.topics import Topics

    brokers = Cluster(settings)
    try:
        cluster = brokers.list_topics(TIMEOUT_S)
    except KafkaException as error:
        problem = brokers.trouble(error)
        yield Finding(
            "fail", "kafka", f"{shown_value(settings, 'kafka_bootstrap')} does not answer "
            f"({problem})", brokers.advice(),
        )  # fmt: skip
        return
    addresses = shown_value(settings, "kafka_bootstrap")
    yield Finding("ok", "kafka", f"{addresses}, {len(cluster.brokers)} broker(s)")
    expected = Topics(settings.namespace).all()
    widths |= {
        name: len(topic.partitions) for name, topic in cluster.topics.items() if name in expected
    }
    yield from judge_topics(expected, widths)
    if widths and not brokers.embedded:  # it keeps nothing, and cannot be asked
        yield from judge_width(max(widths.values()), settings.partitions, Settings().partitions)
        yield from judge_configs(differences(expected, read_configs(brokers.admin, widths)))


def _redis(settings: Settings, partitions: int) -> Iterator[Finding]:
    from freshet.core.advice import redis_advice
    from freshet.core.secrets import mask_urls
    from freshet.core.state.client import (
        CLIENT_ERRORS,
        connect,
        granted_buffer_bytes,
        is_unix,
        server_infos,
    )
    from freshet.core.state.keys import Keys

    try:
        client: Any = connect(settings, timeout_s=TIMEOUT_S)
        with closing(client):
            infos = server_infos(client)
            meta = client.hgetall(Keys(settings.namespace).meta)
    except CLIENT_ERRORS as error:
        yield Finding(
            "fail", "redis", f"{shown_value(settings, 'redis_url')} does not answer "
            f"({mask_urls(str(error))})", redis_advice(error),
        )  # fmt: skip
        return
    yield Finding("ok", "redis", shown_value(settings, "redis_url"))
    for info in infos:
        yield from judge_redis(info)
    if is_unix(settings.redis_url):
        yield judge_send_buffer(granted_buffer_bytes())
    if partitions:
        stored = {name.decode(): value.decode() for name, value in meta.items()}
        yield judge_layout(stored, partitions)


def _folds(settings: Settings, partitions: int) -> Iterator[Finding]:
    from freshet.core.progress import FOLDS, ProgressReader

    with ProgressReader(settings, partitions) as reader:
        before = {fold: reader.read(fold) for fold in FOLDS}
        if any(progress.lag.any() for progress in before.values()):
            time.sleep(LOOK_TWICE_S)
        for fold in FOLDS:
            now = reader.read(fold)
            yield judge_lag(
                fold,
                lag=now.lag.tolist(),
                lost=now.lost.tolist(),
                ahead=now.ahead.tolist(),
                moving=bool((now.next > before[fold].next).any()),
            )
            if fold == "users":
                yield from judge_times(now.total("watermark_ts_ms").tolist(), system_clock())


def _models(settings: Settings) -> Iterator[Finding]:
    from online_models.artifacts.registry import Registry

    registry = Registry.of(settings)
    try:
        current = registry.current()
        if current is None:
            yield Finding(
                "warn", "model", f"none in {settings.models_dir}; lists are in source order",
                "`freshet train LOG` publishes one",
            )  # fmt: skip
            return
        registry.check(current)
    except BundleError as error:
        yield Finding(
            "fail", "model", str(error), "`freshet models use VERSION` switches to another"
        )
        return
    yield Finding(
        "ok", "model", f"{current} of {len(registry.versions())} in {settings.models_dir}"
    )


def _server(settings: Settings) -> Iterator[Finding]:
    import httpx

    url = http_url(settings.http_host, settings.http_port)
    try:
        answer = httpx.get(f"{url}/readyz", timeout=TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL):
        if is_taken(settings.http_host, settings.http_port, TIMEOUT_S):
            yield Finding("fail", "server", f"port {settings.http_port} belongs to another program",
                          "set FRESHET_HTTP_PORT")  # fmt: skip
        else:
            yield Finding("warn", "server", f"none at {url}", "`freshet serve` starts one")
        return
    if answer.status_code == httpx.codes.OK:
        yield Finding("ok", "server", f"ready at {url}")
    else:
        yield Finding("fail", "server", f"{url}/readyz answers {answer.status_code}: "
                      f"{answer.text[:300]}", "read its log")  # fmt: skip


def _tried(what: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except FreshetError as error:
        yield Finding("fail", what, str(error), "mend the service above first")


def _print_finding(finding: Finding) -> None:
    mark = click.style(f"{finding.level:>4}", fg=COLOURS[finding.level], bold=True)
    click.echo(f"{mark}  {finding.what}: {finding.found}")
    if finding.advice:
        click.echo(f"      -> {finding.advice}")


def _print_settings(settings: Settings) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("variable", "value", "default", "meaning", box=None, pad_edge=False)
    for name, default, meaning in describe_settings():
        value = getattr(settings, name)
        text = value_text(shown_value(settings, name))
        shown = text if value == default else f"[bold]{text}[/bold]"
        table.add_row(f"FRESHET_{name.upper()}", shown, value_text(default), meaning)
    Console().print(table)
