"""Windows: every first visit is learned once, from what came before it and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import ENCODED
from freshet.core.state.records import HISTORY_LENGTH
from online_models.training.log import TARGET, TrainingLog
from online_models.training.windows import WindowBatch, Windows

pytestmark = pytest.mark.training

Example = tuple[int, tuple[int, ...], float]
"""Target, inputs newest first, seconds from the newest to the target."""


def examples(batch: WindowBatch) -> list[Example]:
    """Every position that is learned, with all that it may see."""
    found = []
    for row, position in zip(*np.nonzero(batch.targets >= 0), strict=True):
        inputs = batch.items[row][batch.mask[row]][position:]
        gap_s = float(batch.gaps_s[row, position])
        found.append((int(batch.targets[row, position]), tuple(inputs.tolist()), gap_s))
    return found


def examples_one_by_one(log: TrainingLog) -> list[Example]:
    """The slow twin, with whole histories."""
    found = []
    for user in range(log.n_users):
        events = [e for e in np.flatnonzero(log.user == user) if ENCODED[log.kind[e]]]
        for place, event in enumerate(events[1:], 1):
            earlier = events[:place]
            if TARGET[log.kind[event]] and log.item[event] not in log.item[earlier]:
                inputs = tuple(log.item[earlier][::-1].tolist())
                gap_s = float(log.ts_ms[event] - log.ts_ms[earlier[-1]]) / 1000
                found.append((int(log.item[event]), inputs, gap_s))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_each_first_visit_is_learned_once(
    random_log: Callable[..., TrainingLog], seed: int, users: int
) -> None:
    """Long histories are cut; what is left of them is their newest part, never too little."""
    log = random_log(seed, users=users, items=120)
    windows = Windows(log, len(log))
    batches = list(windows.batches(7, np.random.default_rng(seed)))
    found = sorted(example for batch in batches for example in examples(batch))
    expected = sorted(examples_one_by_one(log))
    assert [(target, gap_s) for target, _, gap_s in found] == [
        (target, gap_s) for target, _, gap_s in expected
    ]
    by_target = dict.fromkeys(range(len(log.items)), ())
    for (target, inputs, _), (_, whole, _) in zip(found, expected, strict=True):
        if len(whole) <= HISTORY_LENGTH // 2:
            assert inputs == whole
        assert len(inputs) <= HISTORY_LENGTH
        assert len(inputs) >= min(len(whole), HISTORY_LENGTH // 2)
        by_target[target] = inputs


def test_nothing_behind_the_end_is_seen(random_log: Callable[..., TrainingLog]) -> None:
    """Windows of the first half do not change with the second."""
    log = random_log(3)
    half = len(log) // 2
    rng = np.random.default_rng(0)
    other = log.item.copy()
    other[half:] = rng.integers(0, len(log.items), len(log) - half)
    fields = {name: getattr(log, name) for name in log.__slots__}
    changed = TrainingLog(**(fields | {"item": other}))
    for one, two in zip(
        Windows(log, half).batches(9, np.random.default_rng(1)),
        Windows(changed, half).batches(9, np.random.default_rng(1)),
        strict=True,
    ):
        assert examples(one) == examples(two)
        assert np.array_equal(one.weights, two.weights)


def test_the_newest_targets_weigh_most(make_log: Callable[..., TrainingLog]) -> None:
    """The last event of the log weighs 1, a quarter of its span before half of that."""
    log = make_log([("a", "click", item, second) for item, second in (("x", 0), ("y", 750))])
    end = 2
    batch = next(Windows(log, end).batches(4, np.random.default_rng(0)))
    assert batch.weights[batch.targets >= 0].tolist() == [1.0]
    log = make_log([("a", "click", "x", 0), ("a", "click", "y", 750), ("b", "click", "x", 1_000)])
    batch = next(Windows(log, 3).batches(4, np.random.default_rng(0)))
    assert batch.weights[batch.targets >= 0].tolist() == [0.5]


def test_rejections_and_skips_are_neither_read_nor_predicted(
    make_log: Callable[..., TrainingLog],
) -> None:
    """The window closes over them, with the time from what is left."""
    kinds = ("click", "hide", "skip", "dislike", "report", "impression", "click")
    log = make_log([("a", kind, f"i{place}", 10 * place) for place, kind in enumerate(kinds)])
    (batch,) = Windows(log, len(kinds)).batches(4, np.random.default_rng(0))
    names = {name: row for row, name in enumerate(item.item_id for item in log.items)}
    assert examples(batch) == [(names["i6"], (names["i0"],), 60.0)]


def test_without_a_second_event_there_is_no_window(make_log: Callable[..., TrainingLog]) -> None:
    """One event each, impressions aside."""
    rows = [(f"u{number}", "click", "x", number) for number in range(5)]
    rows += [(f"u{number}", "impression", "y", 10 + number) for number in range(5)]
    windows = Windows(make_log(rows), 10)
    assert len(windows) == 0
    assert list(windows.batches(4, np.random.default_rng(0))) == []
