"""RESULTS.md: what the tests of the fault catalogue promised, and what they measured.

Law: the file is written from a run and never by hand. It names no machine.
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
import redis

from freshet.embedded.kafka_jars import KAFKA_VERSION
from freshet.embedded.redis import RedisServer

from .catalogue import ELSEWHERE, FAULTS

HEAD = """# The fault catalogue, measured

Written by `make faults` from a run of the tests, never by hand. Each row is a fault that somebody
has met, and each test a promise about it. `embedded` is the broker inside librdkafka; `kafka` is
Apache Kafka. Seconds are those of this one run.
"""
MOST_NAMED = 3
HEADINGS = ("row", "fault", "promise", "measured", "broker", "verdict")
VERDICTS = {"passed": "holds", "failed": "**BROKEN**", "skipped": "not run"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test of the catalogue, run.

    Attributes:
        rows: of the catalogue.
        promise: what must hold.
        measured: what the test noted, in its order.
        broker: `embedded`, `kafka`, or a dash where none was needed.
        verdict: `passed`, `failed` or `skipped`.
    """

    rows: tuple[int, ...]
    promise: str
    measured: Mapping[str, object]
    broker: str
    verdict: str


class Results:
    """Collects the outcomes of a run, and writes them at its end.

    Args:
        path: of RESULTS.md.
        seed: of the run.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.outcomes: list[Outcome] = []
        self._path = path
        self._seed = seed

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the outcome of a test that names rows, or that the catalogue names."""
        report = yield
        if report.when == "call" or not report.passed:
            measured = {
                name: value
                for name, value in report.user_properties
                if isinstance(value, int | float | str)
            }
            # A promise that is known to be broken is broken, though its test is expected to fail.
            verdict = "failed" if hasattr(report, "wasxfail") else report.outcome
            for rows, promise in _promises(item):
                self.outcomes.append(Outcome(rows, promise, measured, _broker(item), verdict))
        return report

    def pytest_sessionfinish(self) -> None:
        """Write the file; a run that collected nothing leaves the old one."""
        if self.outcomes:
            facts = {"date": date.today().isoformat(), "seed": str(self._seed), **versions()}
            self._path.write_text(results_page(self.outcomes, facts))


def results_page(outcomes: Iterable[Outcome], facts: Mapping[str, str]) -> str:
    """Return the text of RESULTS.md.

    Args:
        outcomes: in any order; several of one promise (the cases of a test) become one line.
        facts: what is said of the run as a whole.
    """
    merged = sorted(_merged(outcomes), key=lambda each: (each.rows, each.promise, each.broker))
    held = sum(each.verdict == "passed" for each in merged)
    lines = [HEAD, *(f"- {name}: {value}" for name, value in facts.items())]
    lines += [f"- {held} of {len(merged)} promises hold", ""]
    lines += _table(
        ["row", "fault", "promise", "measured", "broker", "verdict"], map(_line, merged)
    )
    covered = {row for each in merged for row in each.rows}
    rest = [(str(row), fault) for row, fault in FAULTS.items() if row not in covered]
    if rest:
        lines += ["", "## Rows that this run did not touch", "", *_table(["row", "fault"], rest)]
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """Return what the faults were provoked on."""
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        found: Any = client.info("server")
    return {
        "Python": platform.python_version(),
        "Redis": found["redis_version"],
        "Apache Kafka": KAFKA_VERSION,
        "librdkafka": confluent_kafka.libversion()[0],
    }


def _promises(item: pytest.Item) -> list[tuple[tuple[int, ...], str]]:
    found = [(mark.args, mark.kwargs["promise"]) for mark in item.iter_markers("fault")]
    name = item.nodeid.partition("[")[0]
    return found + [(each.rows, each.promise) for each in ELSEWHERE if each.test == name]


def _broker(item: pytest.Item) -> str:
    if item.get_closest_marker("kafka"):
        return "kafka"
    return "embedded" if "embedded_broker" in getattr(item, "fixturenames", ()) else "-"


def _merged(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return one outcome for each promise and broker; the worst verdict stays."""
    worst = ("failed", "skipped", "passed")
    found: dict[tuple[Any, ...], Outcome] = {}
    for each in outcomes:
        key = (each.rows, each.promise, each.broker)
        before = found.get(key)
        if before is None or worst.index(each.verdict) < worst.index(before.verdict):
            found[key] = each
    return list(found.values())


def _line(outcome: Outcome) -> list[str]:
    faults = [FAULTS[row] for row in outcome.rows]
    return [
        ", ".join(map(str, outcome.rows)),
        "; ".join(faults)
        if len(faults) <= MOST_NAMED
        else f"{len(faults)} kinds, {faults[0]} first",
        outcome.promise,
        ", ".join(f"{name} {_figure(value)}" for name, value in outcome.measured.items()) or "-",
        outcome.broker,
        VERDICTS[outcome.verdict],
    ]


def _figure(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(each) + " |" for each in cells]
