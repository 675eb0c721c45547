"""The result of a run: what is ok, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from replay.audit import Audit
from replay.chaos.plan import BROKERS, EMBEDDED, KAFKA, KINDS, Strike
from replay.chaos.recovery import Wound
from replay.chaos.report import ChaosBar, audit_table, fault_table
from replay.chaos.run import RECOVERY_S, ChaosOptions, ChaosResult
from replay.chaos.strikes import STRIKES
from replay.chaos.verdict import Finding, Verdict

EXACT = Audit(produced=9, applied=9, lost=0, doubled=0, wrong=0, worst=[])
LOSSY = Audit(produced=9, applied=8, lost=2, doubled=1, wrong=2, worst=["u1", "u2"])
GOOD = Verdict(EXACT, EXACT, (Finding("state", 7, 0),), lag=0, dead_letters=3, copies=2)
BAD = Finding("transitions", 9, 2, ("item-1", "item-2"))


def wound(kind: str, recovery_s: float | None, *, overtaken: bool = False) -> Wound:
    return Wound(Strike(1.0, kind), 2.0, None, recovery_s, overtaken)


def result(*wounds: Wound, verdict: Verdict = GOOD, broker: str = KAFKA) -> ChaosResult:
    return ChaosResult(ChaosOptions(1, 20.0, broker), 9, wounds, verdict)


def printed(table: Any) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_every_kind_can_be_struck() -> None:
    """The plan and the damage name the same."""
    assert set(STRIKES) == set(KINDS)
    assert set(RECOVERY_S) == set(BROKERS)


def test_a_run_without_strikes_is_judged_by_its_counts() -> None:
    """It has a result like any other."""
    assert result().ok
    assert result().figures()["recovery_s"] == {"median": 0.0, "max": 0.0}
    assert "faults of seed 1" in printed(fault_table(result()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": LOSSY},
        {"items": LOSSY},
        {"lag": 1},
        {"findings": (Finding("state", 7, 0), BAD)},
    ],
)
def test_anything_wrong_is_not_ok(wrong: dict[str, Any]) -> None:
    """Each of them alone."""
    assert not result(verdict=replace(GOOD, **wrong)).ok


def test_what_was_felt_for_too_long_is_not_ok() -> None:
    """Nor what is never over; what another strike overtook is not held against it."""
    assert result(wound("bug", 15.0), wound("bug", None, overtaken=True)).ok
    assert not result(wound("bug", 15.1)).ok
    assert result(wound("bug", 15.1), broker=EMBEDDED).ok
    assert not result(wound("bug", None)).ok


def test_the_figures_tell_all_of_it() -> None:
    """As JSON, with the names that are promised."""
    run = result(
        wound("bug", 1.0),
        wound("bug", 3.0),
        wound("kill_redis", 5.04),
        verdict=replace(GOOD, users=LOSSY, findings=(BAD,)),
    )
    figures = msgspec.json.decode(msgspec.json.encode(run.figures()))
    assert figures["strikes"] == {"bug": 2, "kill_redis": 1}
    assert figures["recovery_s"] == {"median": 3.0, "max": 5.0}
    assert (figures["users_wrong"], figures["items_wrong"]) == (2, 0)
    assert (figures["transitions_wrong"], figures["compared"]) == (2, {"transitions": 9})
    assert figures["audits"] == 1
    assert (figures["lost"], figures["doubled"]) == (2, 1)
    assert (figures["events"], figures["dead_letters"], figures["ok"]) == (9, 3, False)


def test_the_tables_show_what_is_wrong() -> None:
    """The fault, how long it was felt, and the worst counts."""
    run = result(
        wound("bug", 1.0),
        wound("flush_redis", None),
        wound("kill_redis", None, overtaken=True),
        verdict=replace(GOOD, users=LOSSY, findings=(BAD,)),
    )
    faults, audit = printed(fault_table(run)), printed(audit_table(run))
    assert "never over" in faults
    assert "overtaken" in faults
    assert "FLUSHALL" in faults
    assert "8 of 9" in audit
    assert "u1 u2" in audit
    assert "item-1; item-2" in audit


def test_the_bar_is_silent_without_a_console() -> None:
    """For --json."""
    with ChaosBar(10.0, None) as bar:
        bar.show(1.0, 100, 5, "bug")
        bar.told(wound("bug", 1.0))
