"""A history holds what came before, newest first."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import INTERACTION, Item
from freshet.core.state.records import HISTORY_LENGTH
from online_models.training.histories import Histories, encoded
from online_models.training.log import TARGET, TrainingLog

pytestmark = pytest.mark.training


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_histories_are_those_of_the_slow_twin(
    random_log: Callable[..., TrainingLog], seed: int, users: int
) -> None:
    """Before every event of the log."""
    log = random_log(seed, users=users)
    histories = Histories(log)
    events = np.arange(len(log))
    batch = histories.before(events)
    for event in events.tolist():
        asked = int(histories.asked_at[event])
        own = [e for e in range(asked) if log.user[e] == log.user[event]]
        expected = [e for e in own if INTERACTION[log.kind[e]]][::-1][:HISTORY_LENGTH]
        used = batch.mask[event]
        assert used.sum() == len(expected)
        assert batch.items[event][used].tolist() == log.item[expected].tolist()
        assert batch.types[event][used].tolist() == log.kind[expected].tolist()
        ages_s = (log.ts_ms[asked] - log.ts_ms[expected]) / 1000
        assert batch.ages_s[event][used].tolist() == ages_s.tolist()


def test_a_click_was_asked_for_when_its_slate_was_shown(
    make_log: Callable[..., TrainingLog],
) -> None:
    """By the click itself, its item has been shown; a click long after was asked for by itself."""
    log = make_log(
        [
            ("a", "click", "x", 0),
            ("a", "impression", "y", 50),
            ("a", "impression", "z", 50),
            ("b", "click", "x", 55),
            ("a", "click", "z", 60),
            ("b", "click", "z", 70),
            ("a", "click", "y", 50 + 1_801),
        ]
    )
    histories = Histories(log)
    assert histories.asked_at[:7].tolist() == [0, 1, 1, 3, 1, 5, 6]
    names = [log.items[row].item_id for row in np.flatnonzero(histories.available(4))]
    assert names == ["x"]


def test_an_encoder_reads_neither_rejections_nor_skips(
    make_log: Callable[..., TrainingLog],
) -> None:
    """What is left moves up, with its ages; a history of rejections alone is an empty one."""
    kinds = ("click", "hide", "view", "skip", "report", "click")
    log = make_log(
        [("a", kind, f"i{place}", 10 * place) for place, kind in enumerate(kinds)]
        + [("b", "dislike", "i0", 70), ("b", "click", "i1", 80)]
    )
    whole = Histories(log).before(np.array([5, 7]))
    read = encoded(whole)
    assert whole.mask.sum(axis=1).tolist() == [5, 1]
    assert read.mask.sum(axis=1).tolist() == [2, 0]
    names = [log.items[row].item_id for row in read.items[0, :2]]
    assert names == ["i2", "i0"]
    assert read.ages_s[0, :3].tolist() == [30, 50, 0]
    assert read.mask[0, :2].all()
    assert not read.items[1].any()


def test_rejections_are_asked_for_as_visits_are(make_log: Callable[..., TrainingLog]) -> None:
    """Before their slate, spread over the part; they are no visits."""
    kinds = ("hide", "click", "dislike", "skip", "report", "hide")
    log = make_log([(f"u{n}", kind, f"i{n}", 10 * n) for n, kind in enumerate(kinds)])
    histories = Histories(log)
    assert histories.rejections(0, 6, 10).tolist() == [0, 2, 4, 5]
    assert histories.rejections(1, 5, 10).tolist() == [2, 4]
    assert histories.rejections(0, 6, 2).tolist() == [0, 5]
    assert histories.requests(0, 6, 10).tolist() == [1]


def test_requests_are_first_visits_spread_over_the_part(
    random_log: Callable[..., TrainingLog],
) -> None:
    """Within the part, in order, no more than asked for, never an item of the user's own."""
    log = random_log(5, users=60, items=80)
    histories = Histories(log)
    requests = histories.requests(100, 400, 30)
    assert len(requests) == 30
    assert requests[0] < 130
    assert requests[-1] > 370
    assert np.all(np.diff(histories.asked_at[requests]) >= 0)
    assert histories.asked_at[requests].min() >= 100
    assert TARGET[log.kind[requests]].all()
    batch = histories.before(requests)
    for row, event in enumerate(requests):
        assert log.item[event] not in batch.items[row][batch.mask[row]]
    assert len(histories.requests(50, 50, 10)) == 0


def test_an_item_exists_from_its_creation_or_its_first_event(
    make_log: Callable[..., TrainingLog],
) -> None:
    """What the future brings is not on offer."""
    rows = [("a", "click", "early", 0), ("b", "click", "announced", 50), ("c", "click", "late", 90)]
    announced = Item(item_id="announced", created_ts_ms=1_760_000_000_000 + 10_000)
    log = make_log(rows, [announced])
    histories = Histories(log)

    def on_offer(event: int) -> set[str]:
        rows = np.flatnonzero(histories.available(event))
        return {log.items[row].item_id for row in rows}

    assert on_offer(0) == set()
    assert on_offer(1) == {"early", "announced"}
    assert on_offer(2) == {"early", "announced"}
    assert on_offer(3) == {"early", "announced", "late"}
