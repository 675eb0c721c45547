"""Exposures: what serving would have ranked at a moment, and nothing of the future."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from freshet.core.settings import Settings
from online_models.features import FEATURES
from online_models.training.encoder import EncoderModel
from online_models.training.exposures import Exposure, Exposures
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog

pytestmark = pytest.mark.training


def expose(log: TrainingLog, events: np.ndarray) -> list[Exposure]:
    torch.manual_seed(0)
    return Exposures(log, EncoderModel.fresh(log), Settings()).at(events)


def changed_after(log: TrainingLog, event: int) -> TrainingLog:
    """The same log, with another future from an event on."""
    rng = np.random.default_rng(1)
    item, kind = log.item.copy(), log.kind.copy()
    item[event + 1 :] = rng.integers(0, 3, len(log) - event - 1)
    kind[event + 1 :] = 1
    fields = {name: getattr(log, name) for name in log.__slots__}
    return TrainingLog(**(fields | {"item": item, "kind": kind}))


def test_the_future_is_not_seen(random_log: Callable[..., TrainingLog]) -> None:
    """Other events after a request leave its candidates and features alone."""
    log = random_log(8, items=40)
    events = Histories(log).requests(100, 250, 10)
    before = expose(log, events)
    after = expose(changed_after(log, int(events[-1])), events)
    for one, two in zip(before, after, strict=True):
        assert one.target == two.target
        assert np.array_equal(one.ranks, two.ranks)
        assert np.array_equal(one.features, two.features)


def test_the_own_event_is_not_seen(random_log: Callable[..., TrainingLog]) -> None:
    """What the user is about to do changes the target alone."""
    log = random_log(8, items=40)
    event = Histories(log).requests(150, 250, 1)
    other = log.item.copy()
    other[event] = (other[event] + 1) % 30
    fields = {name: getattr(log, name) for name in log.__slots__}
    one = expose(log, event)[0]
    two = expose(TrainingLog(**(fields | {"item": other})), event)[0]
    assert np.array_equal(one.features, two.features)


def test_candidates_are_sound(random_log: Callable[..., TrainingLog]) -> None:
    """Each found by some source, finite, within the limit, and the target is where it is said."""
    log = random_log(9, items=60)
    events = Histories(log).requests(50, 400, 20)
    found = expose(log, events)
    assert [each.event for each in found] == events.tolist()
    assert any(each.target >= 0 for each in found)
    for each in found:
        n = len(each.features)
        assert each.features.shape == (n, len(FEATURES))
        assert np.isfinite(each.features).all()
        assert n <= Settings().candidates
        assert (each.ranks >= 0).any(axis=1).all()
        for column in each.ranks.T:
            ranks = column[column >= 0]
            assert sorted(ranks) == sorted(set(ranks))


def test_a_new_user_is_shown_what_is_popular(make_log: Callable[..., TrainingLog]) -> None:
    """Without a history there is no session and no co-visitation."""
    rows = [(f"u{n}", "click", f"i{n % 7 % 4}", n) for n in range(100)]
    log = make_log([*rows, ("new", "click", "i2", 101)])
    exposure = expose(log, np.array([100]))[0]
    session, covisitation, _, _, popular = exposure.ranks.T
    assert (session == -1).all()
    assert (covisitation == -1).all()
    assert sorted(popular.tolist()) == [0, 1, 2, 3]
    assert exposure.target >= 0


def test_time_does_not_run_backwards(random_log: Callable[..., TrainingLog]) -> None:
    """A request before the last one would see its own future."""
    log = random_log(9)
    events = Histories(log).requests(50, 400, 20)
    with pytest.raises(ValueError, match="was asked for before event"):
        expose(log, events[::-1])
