"""All checks of a log in one go, and how the report tells of them."""

import numpy as np

from freshet.core.settings import Settings
from online_models.training.log import build_log
from replay.evaluate.check import Check
from replay.evaluate.leaks import check_leaks, sentences
from replay.evaluate.random_labels import Scorer
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.world import Plan


def chance(_learned: object, _chosen: object) -> Scorer:
    """Fit nothing."""
    return lambda exposure: np.zeros(len(exposure.features))


def knowing(_learned: object, _chosen: object) -> Scorer:
    """Look the right candidate up."""
    return lambda exposure: np.arange(len(exposure.features)) == exposure.target


def test_an_honest_log_passes_every_check() -> None:
    """At both moments, over the requests before them; only the ranker that cheats is found."""
    plan = Plan(users=300, items=60, days=3)
    world, rows = generate(plan)
    events = list(to_events(plan, rows))
    log = build_log(events, to_items(plan, world))
    honest = check_leaks(log, events, Settings(), lambda _log: [], fit=chance)
    assert [each.name for each in honest] == [
        "another future", "another future", "times in the state", "creation dates", "random labels",
    ]  # fmt: skip
    assert all(each.passed for each in honest), sentences(honest)
    assert honest[2].figures["requests"] > 100
    cheating = check_leaks(log, events, Settings(), lambda _log: [], fit=knowing)
    assert [each.passed for each in cheating] == [True, True, True, True, False]
    without = check_leaks(log, events, Settings(), lambda _log: [])
    assert without == honest[:4]


def test_a_failure_is_told_as_one() -> None:
    """And what could not be checked is not told as passed."""
    checks = [
        Check("a", passed=True, found="Fine."),
        Check("b", passed=False, found="Not so."),
        Check("c", passed=None, found="Too few."),
    ]
    assert sentences(checks) == [
        "Leak check, a: passed. Fine.",
        "Leak check, b: FAILED. Not so.",
        "Leak check, c: could not be checked. Too few.",
    ]
