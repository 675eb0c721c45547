"""What followed nearby, of late, and after the newest of the user's items comes first."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from online_models.training.log import TrainingLog
from replay.evaluate.baselines import covisitation
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.covisitation import DISTANCE, QUERY_ITEMS, Covisitation
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.query import DECAY

HALF_LIFE_S = 1_000.0


def contestant(log: TrainingLog) -> Ranked:
    numbering = Numbering(log)
    return Ranked("covisitation", numbering, Covisitation(numbering.log, HALF_LIFE_S))


def test_the_nearer_the_follower_the_more_it_counts(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """Until its distance is too far; what came before does not count."""
    walk = [("a", "before", 0), ("a", "x", 0), *(("a", f"n{n:02}", 0) for n in range(12))]
    log = make_log([*walk, ("me", "x", 1), ("me", "?", 1)])
    assert listed(log, contestant(log), 15) == [f"n{n:02}" for n in range(DISTANCE)]


def test_a_transition_counts_half_after_its_half_life(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """Two old ones lose against one that is just newer than a half-life, and win when it is not."""
    old = [("a", "x", 0), ("a", "old", 0), ("b", "x", 0), ("b", "old", 0)]
    for age_s, expected in ((1_001, ["new", "old"]), (999, ["old", "new"])):
        new = [("c", "x", age_s), ("c", "new", age_s), ("me", "x", 9_000), ("me", "?", 9_000)]
        log = make_log(old + new)
        assert listed(log, contestant(log), 7) == expected


def test_memory_of_an_item_is_bounded(
    make_log: Callable[..., TrainingLog],
    listed: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What followed often stays, of what followed once the greatest."""
    monkeypatch.setattr(covisitation, "FOLLOWERS", 2)
    often = [row for n in range(3) for row in ((f"a{n}", "x", 0), (f"a{n}", "often", 0))]
    once = [row for n in range(40) for row in ((f"b{n}", "x", 0), (f"b{n}", f"once{n}", 0))]
    log = make_log([*often, *once, ("me", "x", 1), ("me", "?", 1)])
    found = listed(log, contestant(log), len(often) + len(once) + 1)
    assert found[0] == "often"
    assert len(found) <= 4


def test_scores_are_those_of_the_slow_twin(
    random_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """At the end of a random log."""
    log = random_log(7)
    event = 399
    visits: dict[int, list[tuple[int, float]]] = defaultdict(list)
    pairs: dict[tuple[int, int], float] = defaultdict(float)
    for e in range(event):
        item, ts_s = int(log.item[e]), float(log.ts_ms[e] / 1000)
        for distance, (previous, _) in enumerate(visits[log.user[e]][: -DISTANCE - 1 : -1], 1):
            pairs[previous, item] += 2 ** ((ts_s - log.ts_ms[0] / 1000) / HALF_LIFE_S) / distance
        visits[log.user[e]].append((item, ts_s))
    own = list(dict.fromkeys(item for item, _ in reversed(visits[log.user[event]])))
    scores = {
        item: sum(DECAY**n * pairs[each, item] for n, each in enumerate(own[:QUERY_ITEMS]))
        for item in set(range(len(log.items))) - set(own)
    }
    known = [item for item, score in scores.items() if score > 0]
    expected = sorted(known, key=lambda item: (-scores[item], log.hashes[item]))[:20]
    assert len(expected) > 5
    found = listed(log, contestant(log), event)
    values = {item.item_id: scores.get(row, np.nan) for row, item in enumerate(log.items)}
    assert [values[name] for name in found] == pytest.approx([scores[row] for row in expected])
