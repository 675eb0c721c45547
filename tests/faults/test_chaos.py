"""The chaos in its short form: several faults in one stream, and the control that must fail.

`freshet chaos` does the same for as long as one likes, by a seed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from freshet.core.settings import Settings
from replay.chaos.plan import EMBEDDED, KAFKA, Strike
from replay.chaos.report import ChaosBar
from replay.chaos.run import ChaosOptions, ChaosResult, run_chaos

pytestmark = [pytest.mark.services, pytest.mark.timeout(480)]

RATE = 300.0

# On the embedded broker a worker that dies is away for ten seconds: one blow upon the other.
SHORT = (
    Strike(1.0, "rewind_redis", lasts_s=1.0),
    Strike(2.0, "kill_worker", waits=False),
    Strike(3.0, "flush_redis", waits=False),
)
ON_KAFKA = (
    Strike(1.0, "kill_broker"),
    Strike(2.0, "rewind_redis", lasts_s=2.0),
    Strike(3.0, "bug", place="after_write"),
    Strike(4.0, "kill_all_workers"),
    Strike(5.0, "flush_redis"),
    Strike(6.0, "extra_worker", lasts_s=1.0),
    Strike(7.0, "burst"),
    Strike(8.0, "kill_server"),
)
DIED = (Strike(1.0, "bug", place="after_write"),)
EMPTIED = (Strike(6.0, "flush_redis"),)
REWOUND = (Strike(1.0, "rewind_redis", lasts_s=1.0),)


def run(folder: Path, strikes: tuple[Strike, ...], options: ChaosOptions) -> ChaosResult:
    with ChaosBar(options.seconds, None) as bar:
        result = run_chaos(options, strikes, Settings(), folder / "run", bar)
    assert sum(result.strikes.values()) == len(strikes)
    return result


def test_every_count_is_exact_after_faults_upon_faults(tmp_path: Path) -> None:
    """Redis rewound under way, the worker killed as it comes back, Redis emptied; and poison."""
    result = run(tmp_path, SHORT, ChaosOptions(1, 3.0, EMBEDDED, workers=1, rate=RATE))
    assert result.ok, result.figures()
    assert result.verdict.copies > 0
    assert result.verdict.dead_letters > 0


def test_without_the_position_the_audit_fails(tmp_path: Path) -> None:
    """The control: from Kafka's commit, a worker does not see that Redis went back."""
    options = ChaosOptions(1, 3.0, EMBEDDED, workers=1, rate=RATE, without="position")
    result = run(tmp_path, REWOUND, options)
    assert not result.ok
    assert result.verdict.users.lost > 0
    assert result.figures()["users_wrong"]


def test_without_the_outbox_the_audit_fails(tmp_path: Path) -> None:
    """The control: the worker dies between its script and Kafka, and the items hear of nothing."""
    options = ChaosOptions(1, 3.0, EMBEDDED, workers=1, rate=RATE, without="outbox")
    result = run(tmp_path, DIED, options)
    assert not result.ok
    assert result.verdict.items.lost > 0
    assert not result.figures()["users_wrong"]


def test_a_lost_transition_fails_the_audit_before_a_strike_heals_it(tmp_path: Path) -> None:
    """The control: one in two hundred is lost, and what is emptied next would be whole again."""
    options = ChaosOptions(1, 6.0, EMBEDDED, workers=1, rate=RATE, without="transitions")
    with ChaosBar(options.seconds, None) as bar:
        result = run_chaos(options, EMPTIED, Settings(), tmp_path / "run", bar)
    assert (result.strikes, result.audits) == ({}, 1)
    figures = result.figures()
    assert figures["transitions_wrong"]
    assert figures["state_wrong"]
    assert not figures["users_wrong"]


@pytest.mark.kafka
def test_on_apache_kafka_every_count_is_exact_too(tmp_path: Path) -> None:
    """With two workers, one that comes and goes, and a broker that dies."""
    if os.environ.get("FRESHET_NO_KAFKA") == "1":
        pytest.skip("APACHE KAFKA IS SWITCHED OFF by FRESHET_NO_KAFKA=1")
    result = run(tmp_path, ON_KAFKA, ChaosOptions(1, 10.0, KAFKA, rate=RATE))
    assert result.ok, result.figures()
