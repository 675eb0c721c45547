"""Slices part the requests where they say."""

from dataclasses import replace

import numpy as np

from replay.evaluate.outcome import Outcome
from replay.evaluate.slices import slices_of


def parted(outcome: Outcome) -> dict[tuple[str, str], list[int]]:
    """The requests of each slice."""
    return {
        (group, name): np.flatnonzero(mask).tolist() for group, name, mask in slices_of(outcome)
    }


def of(outcome: Outcome, histories: list[int], counts: list[int]) -> Outcome:
    """As many requests at the same event."""
    return replace(
        outcome,
        events=np.full(len(counts), 2),
        history_lengths=np.array(histories),
        target_counts=np.array(counts),
    )


def test_bounds_belong_to_the_slice_that_names_them(tiny: Outcome) -> None:
    """On either side of each bound."""
    found = parted(of(tiny, [0, 1, 2, 3, 4, 5, 50], [10, 11, 0, 9, 500, 12, 400]))
    assert found == {
        ("user", "cold"): [0, 1, 2, 3],
        ("user", "warm"): [4, 5, 6],
        ("item", "cold"): [0, 2, 3],
        ("item", "warm"): [1, 4, 5, 6],
        ("popularity", "head"): [4, 6],
        ("popularity", "tail"): [0, 1, 2, 3, 5],
        ("history", "0"): [0],
        ("history", "1"): [1],
        ("history", "2-4"): [2, 3, 4],
        ("history", "5+"): [5, 6],
    }


def test_a_head_of_equals_is_none(tiny: Outcome) -> None:
    """Where all targets are as popular, nothing is parted, and so no slice is left."""
    assert parted(of(tiny, [7, 7, 7], [20, 20, 20])) == {}


def test_the_head_is_a_fifth(tiny: Outcome) -> None:
    """Of requests whose targets all differ."""
    found = parted(of(tiny, [7] * 100, list(range(100, 200))))
    assert found["popularity", "head"] == list(range(80, 100))


def test_hours_are_those_of_the_event(tiny: Outcome) -> None:
    """7, 13, 19 and 20 o'clock, UTC."""
    found = parted(tiny)
    assert found["hour, UTC", "6-12 h"] == [0]
    assert found["hour, UTC", "12-18 h"] == [1]
    assert found["hour, UTC", "18-24 h"] == [2, 3]
