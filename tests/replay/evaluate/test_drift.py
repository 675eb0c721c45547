"""A change that is made is known exactly, and coming back is more than one good window."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.schema import Event, Item
from online_models.training.log import TrainingLog
from replay.evaluate.drift import Recovery, recovery_of, rolling_mean, section, swap_roles
from replay.evaluate.outcome import Outcome
from replay.evaluate.request import LIST_LENGTH

HOUR_MS = 3_600_000
MIDNIGHT_MS = 20_000 * 86_400_000


def clicks(items: list[int]) -> list[Event]:
    """One click a second."""
    return [
        Event(event_id=f"e{row}", user_id="u", type="click", item_id=f"i{item}", ts_ms=1_000 * row)
        for row, item in enumerate(items)
    ]


@given(
    items=st.lists(st.integers(0, 9), max_size=40),
    second=st.integers(0, 40),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_roles_are_swapped_from_then_on(
    items: list[int], second: int, share: float, seed: int
) -> None:
    """A permutation of what was met; nothing before, nothing new, and nothing but the item."""
    events = clicks(items)
    changed = swap_roles(events, 1_000 * second, np.random.default_rng(seed), share)
    assert changed[:second] == events[:second]
    role: dict[str, str] = {}
    for event, other in zip(events[second:], changed[second:], strict=True):
        assert role.setdefault(event.item_id, other.item_id) == other.item_id
        assert msgspec.structs.replace(other, item_id=event.item_id) == event
    assert len(set(role.values())) == len(role)
    met = {event.item_id for event in events[:second]}
    assert all((item in met) == (other in met) for item, other in role.items())
    others = {item for item, other in role.items() if item != other}
    assert len(others) <= round(share * len(met))
    assert others <= met
    if share == 1 and len(met) > 1:
        assert others == met & role.keys()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.data())
def test_a_rolling_mean_is_that_of_each_window(values: list[float], data: st.DataObject) -> None:
    """Beside the obvious way."""
    window = data.draw(st.integers(1, len(values)))
    slow = [np.mean(values[end - window : end]) for end in range(window, len(values) + 1)]
    assert rolling_mean(np.array(values), window) == pytest.approx(slow, abs=1e-9)


@pytest.fixture
def recovery(click_log: Callable[..., TrainingLog]) -> Callable[..., Recovery]:
    """`recovery(hits, change)` of one request a click, a hit being the first of its list."""

    def made(hits: list[int], change: int, window: int = 4) -> Recovery:
        n = len(hits)
        lists = np.full((n, LIST_LENGTH), -1)
        lists[np.array(hits, bool), 0] = 0
        outcome = Outcome(
            name="made",
            log=click_log([Item(item_id="0")], [0] * n, [0] * n, range(n)),
            events=np.arange(n),
            targets=np.zeros(n, np.int64),
            history_lengths=np.zeros(n, np.int64),
            target_counts=np.zeros(n, np.int64),
            lists={"product": lists},
            seconds={},
            baselines=[],
        )
        return recovery_of(outcome, MIDNIGHT_MS + HOUR_MS * change, window=window)

    return made


def test_a_fall_and_its_end_by_hand(recovery: Callable[..., Recovery]) -> None:
    """All right, then four wrong ones: the next window that is right ends with the eighth."""
    found = recovery([1] * 6 + [0] * 4 + [1] * 8, change=6)
    assert found.drift_at == 6
    assert found.level_before == 1
    assert found.lowest == 0
    assert found.level_after == 1
    assert found.recovered_after_events == 7  # the request 7 events after the first changed one
    assert found.rolling.events == list(range(-3, 12))
    assert found.rolling.ndcg10[:7] == [1, 1, 1, 0.75, 0.5, 0.25, 0]


def test_nothing_before_the_change_counts_as_coming_back(
    recovery: Callable[..., Recovery],
) -> None:
    """A window that reaches back behind the change has not come back from anything."""
    assert recovery([1] * 12, change=6).recovered_after_events == 3


def test_one_good_window_is_no_recovery(recovery: Callable[..., Recovery]) -> None:
    """What follows it must keep the level too."""
    lucky = [0] * 4 + [1] * 4
    assert recovery([1] * 6 + lucky + [0, 1] * 6, change=6).recovered_after_events is None
    steady = recovery([1] * 6 + lucky + [0] + [1] * 30, change=6)
    assert steady.recovered_after_events == 7
    assert steady.lowest == 0


def test_half_the_level_is_never_back(recovery: Callable[..., Recovery]) -> None:
    """And how far it came is said."""
    found = recovery([1] * 8 + [0, 1] * 12, change=8)
    assert found.recovered_after_events is None
    assert found.level_after == 0.5
    assert "had not come back" in " ".join(section(found).words)


@pytest.mark.parametrize("change", [0, 3, 9, 12])
def test_too_few_requests_are_refused(recovery: Callable[..., Recovery], change: int) -> None:
    """Before the change or after it."""
    with pytest.raises(ValueError, match="smaller window"):
        recovery([1] * 12, change)


def test_the_section_draws_both_logs(recovery: Callable[..., Recovery]) -> None:
    """With the change and without, and how deep the other one falls by itself."""
    found, steady = recovery([1] * 6 + [0] * 6, 6), recovery([1] * 8 + [0, 1, 1, 1], 6)
    made = section(found, steady)
    assert [trace.name for trace in made.plot.data] == ["with the change", "without"]
    assert list(made.plot.data[0].y) == found.rolling.ndcg10
    assert "0.7500 in the worst window" in made.words[1]
    assert len(section(found).plot.data) == 1
