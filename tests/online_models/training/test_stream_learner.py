"""Learning from the stream: each example once, and the same weights after any end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from freshet.core.events.example_log import LoggedExample
from online_models.training.stream_learner import FollowOptions, StreamLearner

from .synthetic_stream import SLOTS, stream

pytestmark = pytest.mark.training

OPTIONS = FollowOptions(batch=4, first=16, buffer=30, window=24, calibrated=12)


def learner(**changes: Any) -> StreamLearner:
    """One that starts from nothing."""
    return StreamLearner(lambda: None, replace(OPTIONS, **changes))


def fed(taker: StreamLearner, examples: Iterable[LoggedExample]) -> StreamLearner:
    """Give examples."""
    for each in examples:
        taker.take(each)
    return taker


def counts(taker: StreamLearner) -> dict[str, int]:
    """What was counted, without what was not."""
    return {name: count for name, count in taker.counts.items() if count}


def weights(taker: StreamLearner) -> list[np.ndarray]:
    """Of the ranker as it stands."""
    ranker = taker.candidate
    assert ranker is not None
    return [each.numpy() for each in ranker.state_dict().values()]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """To the bit."""
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_it_waits_for_enough_to_begin_with() -> None:
    """Until then nothing was read, so that the next one reads it too."""
    taker = fed(learner(), stream(0, 15))
    assert (taker.candidate, taker.positions, counts(taker)) == (None, {}, {})
    fed(taker, stream(15, 16))
    assert taker.candidate is not None
    assert taker.positions == {0: 8, 1: 8}
    assert counts(taker) == {"learned": 16}


def test_then_it_learns_a_batch_at_a_time() -> None:
    """The positions stand behind what was learned, and no further."""
    taker = fed(learner(), stream(0, 19))
    assert taker.positions == {0: 8, 1: 8}
    fed(taker, stream(19, 20))
    assert taker.positions == {0: 10, 1: 10}
    assert counts(taker) == {"learned": 20}


def test_an_example_that_comes_again_is_passed_over() -> None:
    """Of the same name; the position moves all the same."""
    taker = fed(learner(), stream(0, 20))
    before = weights(taker)
    fed(taker, stream(12, 20))
    assert counts(taker) == {"learned": 20, "repeated": 8}
    assert same(before, weights(taker))
    assert fed(taker, stream(20, 24)).counts["learned"] == 24


def test_an_example_of_other_features_is_of_no_use() -> None:
    """It is counted, and reading goes on behind it."""
    other = [
        LoggedExample(each.partition, each.offset, msgspec.structs.replace(
            each.example, feature_schema="older"))
        for each in stream(0, 6)
    ]  # fmt: skip
    taker = fed(learner(), other)
    assert counts(taker) == {"unusable": 6}
    assert taker.positions == {0: 3, 1: 3}


def test_only_the_newest_are_kept_to_judge_by() -> None:
    """Those that the versions asked for gave, with what was foreseen before they were learned."""
    taker = fed(learner(), stream(0, 16, given_by="a"))
    fed(taker, stream(16, 32, given_by="b"))
    both, new, none = (taker.foreseen(names) for names in ({"a", "b"}, {"b"}, set[str]()))
    assert (both.answers, new.answers, none.answers) == (24, 16, 0)
    assert both.probabilities.shape[0] == len(both.rows.features) == 24 * SLOTS
    assert none.probabilities.shape[0] == 0
    assert np.isfinite(both.probabilities).all()


def test_beginning_again_forgets_what_was_learned_and_not_what_was_read() -> None:
    """The next ranker starts where the stream is."""
    taker = fed(learner(), stream(0, 24))
    taker.begin_anew()
    assert (taker.candidate, taker.foreseen({"m"}).answers) == (None, 0)
    assert taker.positions == {0: 12, 1: 12}
    assert counts(fed(taker, stream(24, 40))) == {"learned": 40}
    assert taker.candidate is not None


@pytest.mark.parametrize("end", [10, 16, 22, 31])
def test_after_any_end_the_next_comes_to_the_same_weights(end: int) -> None:
    """It reads again what had not been learned, and learns nothing twice."""
    whole = fed(learner(), stream(0, 60))
    first = fed(learner(), stream(0, end))
    second = learner()
    second.restore(first.state(), ranker=True)
    at = second.positions
    rest = [each for each in stream(0, 60) if each.offset >= at.get(each.partition, 0)]
    fed(second, rest)
    assert second.positions == whole.positions
    assert counts(second) == counts(whole) == {"learned": 60}
    assert same(weights(whole), weights(second))
    one, other = whole.foreseen({"m"}), second.foreseen({"m"})
    assert np.array_equal(one.probabilities, other.probabilities)


def test_a_state_of_another_schema_keeps_its_place_alone() -> None:
    """What was learned is of another kind; what was read was read."""
    state = fed(learner(), stream(0, 24)).state() | {"schema": ["older"]}
    taker = learner()
    taker.restore(state, ranker=True)
    assert taker.positions == {0: 12, 1: 12}
    assert (taker.candidate, taker.foreseen({"m"}).answers) == (None, 0)


def test_a_ranker_that_is_not_wanted_is_not_restored() -> None:
    """Of what was learned the buffer stays."""
    taker = learner()
    taker.restore(fed(learner(), stream(0, 24)).state(), ranker=False)
    assert taker.candidate is None
    assert len(taker._buffer) == 24


def test_the_state_is_made_of_what_torch_saves_safely() -> None:
    """Numbers, words, lists and tensors."""

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(plain, value.values()))
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return value is None or isinstance(value, int | float | str | bool | torch.Tensor)

    assert plain(fed(learner(), stream(0, 24)).state())
