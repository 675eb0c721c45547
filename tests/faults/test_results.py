"""RESULTS.md itself: it says what happened, and no row is forgotten."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .catalogue import ELSEWHERE, FAULTS
from .results import Outcome, Results, results_page

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
FACTS = {"date": "2026-01-01", "seed": "1"}
HELD = {*range(1, 7), *range(11, 17), 19, *range(22, 37), *range(39, 48), *range(58, 61), 62}
HELD |= {63, 64, 65, 66}


def outcome(*rows: int, verdict: str = "passed", broker: str = "-", **measured: object) -> Outcome:
    """An outcome of a promise that is kept or not."""
    return Outcome(rows, "it holds", measured, broker, verdict)


def lines_of(*outcomes: Outcome) -> list[str]:
    """Return the rows of the first table."""
    page = results_page(outcomes, FACTS)
    return [line for line in page.splitlines() if line.startswith("|") and "it holds" in line]


def test_without_outcomes_every_row_is_untouched() -> None:
    """An empty run claims nothing."""
    page = results_page([], FACTS)
    assert "0 of 0 promises hold" in page
    assert all(f"| {row} | {fault} |" in page for row, fault in FAULTS.items())


def test_what_was_measured_stands_beside_its_promise() -> None:
    """Numbers are short, and a row that was touched is in no other table."""
    page = results_page([outcome(14, broker="kafka", recovery_s=2.34567, counted=600)], FACTS)
    line = "| it holds | recovery_s 2.35, counted 600 | kafka | holds |"
    assert f"| 14 | {FAULTS[14]} {line}" in page
    assert "1 of 1 promises hold" in page
    assert f"\n| 14 | {FAULTS[14]} |\n" not in page


def test_rows_stand_in_their_order() -> None:
    """By row, whatever ran first."""
    found = lines_of(outcome(22), outcome(3), outcome(3, 4), outcome(10))
    assert [line.split("|")[1].strip() for line in found] == ["3", "3, 4", "10", "22"]


def test_many_faults_of_one_promise_are_not_all_spelt_out() -> None:
    """Their rows are; the table stays a table."""
    (line,) = lines_of(outcome(*range(23, 33)))
    assert line.startswith("| 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 |")
    assert "10 kinds" in line
    assert FAULTS[32] not in line


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        (["passed", "passed"], "holds"),
        (["passed", "failed", "passed"], "BROKEN"),
        (["skipped", "passed"], "not run"),
        (["failed", "skipped"], "BROKEN"),
    ],
)
def test_the_worst_case_of_a_test_stays(verdicts: list[str], word: str) -> None:
    """A promise holds when it held in every case."""
    (line,) = lines_of(*[outcome(5, verdict=verdict) for verdict in verdicts])
    assert word in line


def test_brokers_are_told_apart() -> None:
    """The same promise on another broker is another line."""
    found = lines_of(outcome(1, broker="kafka"), outcome(1, broker="embedded", verdict="failed"))
    assert [line.split("|")[5].strip() for line in found] == ["embedded", "kafka"]
    assert "BROKEN" in found[0]
    assert "BROKEN" not in found[1]


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (SimpleNamespace(when="call", passed=True, outcome="passed"), "passed"),
        (SimpleNamespace(when="setup", passed=False, outcome="failed"), "failed"),
        (SimpleNamespace(when="setup", passed=False, outcome="skipped"), "skipped"),
        (SimpleNamespace(when="call", passed=False, outcome="skipped", wasxfail="known"), "failed"),
        (SimpleNamespace(when="setup", passed=True, outcome="passed"), None),
    ],
    ids=["held", "could not start", "switched off", "known to be broken", "only set up"],
)
def test_a_verdict_is_what_happened(report: Any, verdict: str | None, tmp_path: Path) -> None:
    """A test that is expected to fail shows a promise that is not kept."""
    report.user_properties = [("recovery_s", 2.0)]
    mark = SimpleNamespace(args=(14,), kwargs={"promise": "it holds"})
    item: Any = SimpleNamespace(
        nodeid="tests/faults/test_it.py::test_it[case]",
        iter_markers=lambda _name: [mark],
        get_closest_marker=lambda name: mark if name == "kafka" else None,
    )
    results = Results(tmp_path / "RESULTS.md", 1)
    noting = results.pytest_runtest_makereport(item, None)  # type: ignore[arg-type]
    next(noting)
    with pytest.raises(StopIteration):
        noting.send(report)
    noted = [(each.rows, each.broker, each.verdict, each.measured) for each in results.outcomes]
    expected = [((14,), "kafka", verdict, {"recovery_s": 2.0})] if verdict else []
    assert noted == expected


def test_every_test_elsewhere_exists() -> None:
    """Its file, and the function in it."""
    for each in ELSEWHERE:
        path, _, name = each.test.partition("::")
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_every_row_that_must_hold_is_named_by_a_test() -> None:
    """In a mark of this folder; poison names its rows in its table."""
    named = {row for each in ELSEWHERE for row in each.rows}
    for path in FOLDER.glob("test_*.py"):
        source = path.read_text()
        for rows in re.findall(r"mark\.fault\(([\d,\s]+)", source):
            named |= {int(row) for row in re.findall(r"\d+", rows)}
        named |= {int(row) for row in re.findall(r"^    \((\d+), ", source, re.MULTILINE)}
    assert named >= HELD
    assert named <= set(FAULTS)
