"""An answer waits for its outcome, by event time, and comes out once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from freshet.core.events.examples import OUTCOME_DTYPE, Example
from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import TYPE_CODES, Slate, Slot
from streams.joiner import MOST_ROWS, Joiner
from streams.outcomes import Outcomes

START_MS = 1_700_000_000_000
WINDOW_MS = 60_000


def slate(name: str, at_s: float = 0, items: str = "abcd", user: str = "ann") -> Slate:
    """An answer at so many seconds, a slot for each letter."""
    slots = [
        Slot(
            item_id=item,
            position=position,
            score=0.5,
            source="session",
            reason="",
            propensity=1 / (1 + position),
            explored=position == 1,
        )
        for position, item in enumerate(items)
    ]
    return Slate(
        request_id=name,
        user_id=user,
        ts_ms=START_MS + int(1000 * at_s),
        policy="p",
        model_version="m",
        quality="full",
        feature_schema="f",
        slots=slots,
        features=np.arange(2 * len(items)).astype("<f2").tobytes(),
    )


class Feeder:
    """Gives a joiner records under ascending offsets, and keeps what it makes."""

    def __init__(self, most: int = 100) -> None:
        self.joiner = Joiner(window_ms=WINDOW_MS, most=most)
        self.made: list[Example] = []
        self.counts: dict[str, int] = {}
        self._record = 0
        self._offset = 0

    def slate(self, *slates: Slate) -> Feeder:
        for each in slates:
            self.joiner.take_slate(each, self._record)
            self._record += 1
        return self._collect()

    def did(self, name: str, *acts: tuple[str, str, float], value: float = 0) -> Feeder:
        """Tell (type, item, second) about an answer; time comes as far as the last of them."""
        rows = np.zeros(len(acts), OUTCOME_DTYPE)
        for row, (kind, item, at_s) in zip(rows, acts, strict=True):
            row["type"], row["item"] = TYPE_CODES[kind], item_hashes([item])[0]
            row["ts_ms"], row["value"] = START_MS + int(1000 * at_s), value
            row["offset"], self._offset = self._offset, self._offset + 1
        return self.tell(Outcomes(int(rows["ts_ms"].max()), [name], [rows.tobytes()]))

    def time(self, at_s: float) -> Feeder:
        return self.tell(Outcomes(START_MS + int(1000 * at_s)))

    def tell(self, told: Outcomes) -> Feeder:
        self.joiner.take_outcomes(told, self._record)
        self._record += 1
        return self._collect()

    def _collect(self) -> Feeder:
        joined = self.joiner.collect()
        self.made += joined.examples
        for name, count in joined.counts.items():
            if count:
                self.counts[name] = self.counts.get(name, 0) + count
        return self

    @property
    def names(self) -> list[str]:
        return [example.request_id for example in self.made]


def shown(items: str, at_s: float = 1) -> Sequence[tuple[str, str, float]]:
    return [("impression", item, at_s) for item in items]


def test_an_answer_becomes_an_example_when_its_time_is_over() -> None:
    """Not a moment before; with everything that people did, slot by slot."""
    fed = Feeder().slate(slate("r"))
    fed.did("r", *shown("abc"), ("click", "b", 5), ("like", "b", 6), ("purchase", "c", 7))
    fed.did("r", ("dwell", "b", 8), ("dwell", "b", 9), value=2.5)
    assert fed.time(59.999).made == []
    (example,) = fed.time(60).made
    assert example.had("impression").tolist() == [True, True, True, False]
    assert example.had("click").tolist() == [False, True, False, False]
    assert example.had("like").tolist() == [False, True, False, False]
    assert example.had("purchase").tolist() == [False, False, True, False]
    assert not example.had("cart").any()
    assert example.column("dwell_s").tolist() == [0, 5, 0, 0]
    assert example.examined().tolist() == [True, True, True, False]
    assert example.item_ids == list("abcd")
    assert example.column("propensities").tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert example.column("explored").tolist() == [False, True, False, False]
    assert example.column("features").tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert fed.counts == {"complete": 1, "joined": 8}
    assert not fed.joiner.slates
    assert not fed.joiner.outcomes


def test_a_click_below_the_shown_slots_moves_the_edge() -> None:
    """Who clicks a slot has seen it, and what is above it."""
    fed = Feeder().slate(slate("r")).did("r", ("impression", "a", 1), ("click", "c", 2)).time(99)
    assert fed.made[0].examined().tolist() == [True, True, True, False]


def test_an_answer_that_nobody_saw_is_dropped() -> None:
    """And counted."""
    fed = Feeder().slate(slate("r")).time(60)
    assert fed.made == []
    assert fed.counts == {"never_shown": 1}
    assert not fed.joiner.slates


def test_what_comes_late_does_not_count() -> None:
    """By its own time while the answer waits, by the watermark afterwards."""
    fed = Feeder().slate(slate("r"), slate("s", 30)).did("r", *shown("ab"), ("click", "a", 60.001))
    assert fed.names == ["r"]
    assert not fed.made[0].had("click").any()
    fed.did("r", ("click", "b", 59)).time(200)
    assert fed.names == ["r"]
    assert fed.counts == {
        "complete": 1, "joined": 2, "late": 1, "no_slate": 1, "never_shown": 1,
    }  # fmt: skip


def test_two_answers_of_one_person_do_not_mix() -> None:
    """The same items in both; each event names its answer."""
    fed = Feeder().slate(slate("r"), slate("s", 1))
    fed.did("r", *shown("abcd")).did("s", *shown("abcd", 2)).did("s", ("click", "a", 3)).time(100)
    clicks = {example.request_id: example.had("click").tolist() for example in fed.made}
    assert clicks == {"r": [False] * 4, "s": [True, False, False, False]}
    assert [example.name for example in fed.made] == [(5, 0), (5, 1)]


def test_an_outcome_may_come_before_its_answer() -> None:
    """They travel on different ways."""
    fed = Feeder().did("r", *shown("ab"), ("click", "a", 2)).slate(slate("r")).time(61)
    assert fed.made[0].had("click").tolist() == [True, False, False, False]
    assert fed.counts == {"complete": 1, "joined": 3}


def test_an_item_that_is_not_in_the_answer_is_counted() -> None:
    """It changes no slot."""
    fed = Feeder().slate(slate("r")).did("r", *shown("ab"), ("click", "z", 2)).time(61)
    assert not fed.made[0].had("click").any()
    assert fed.counts == {"complete": 1, "joined": 2, "no_slot": 1}


def test_too_many_waiting_send_the_oldest_early() -> None:
    """By their time, not by their arrival."""
    fed = Feeder(most=2).slate(slate("b", 2), slate("a", 1))
    fed.did("a", *shown("a")).did("b", *shown("a", 3)).slate(slate("c", 3))
    assert fed.names == ["a"]
    assert len(fed.joiner.slates) == 2
    fed.slate(slate("d", 0))
    assert fed.counts == {"early": 1, "joined": 1, "never_shown": 1}


def test_outcomes_of_unknown_answers_are_bounded() -> None:
    """By number, and by time; those of answers that wait are left alone."""
    fed = Feeder(most=2).slate(slate("r"))
    fed.did("r", *shown("a"))
    for name in "stu":
        fed.did(name, ("click", "a", 1), ("click", "b", 1))
    assert fed.joiner.outcomes.keys() == {"r", "t", "u"}
    assert fed.counts == {"no_slate": 2}
    fed.time(61)
    assert not fed.joiner.outcomes
    assert fed.counts == {"no_slate": 6, "complete": 1, "joined": 1}


def test_each_early_outcome_waits_for_itself() -> None:
    """Whether an older one of the same answer was dropped before it came or with it, it stays."""
    acts = ("click", "a", 0), ("click", "b", 30), ("click", "c", 10)
    apart, together = Feeder(), Feeder().did("r", *acts).time(70)
    for act in acts[:2]:
        apart.did("r", act)
    apart.time(65).did("r", acts[2]).time(70)
    for fed in (apart, together):
        rows = np.frombuffer(fed.joiner.outcomes["r"], OUTCOME_DTYPE)
        assert rows["ts_ms"].tolist() == [START_MS + 30_000]
        assert fed.counts == {"no_slate": 2}
        fed.slate(slate("r", 29.5)).time(90)
        assert fed.made[0].column("responses").tolist() == [0, 1 << TYPE_CODES["click"], 0, 0]


def test_one_answer_takes_so_many_outcomes() -> None:
    """Who sends more does not fill the memory."""
    fed = Feeder().slate(slate("r"))
    for _ in range(3):
        fed.did("r", *[("view", "a", 1.0)] * (MOST_ROWS // 2))
    assert len(fed.joiner.outcomes["r"]) == MOST_ROWS * OUTCOME_DTYPE.itemsize
    assert fed.counts == {"excess": MOST_ROWS // 2}


def test_rows_that_are_told_again_are_passed_over() -> None:
    """Whatever the boundaries of the messages are."""
    fed = Feeder().slate(slate("r"))
    rows = np.zeros(3, OUTCOME_DTYPE)
    rows["offset"], rows["type"] = [10, 11, 12], TYPE_CODES["dwell"]
    rows["item"], rows["value"], rows["ts_ms"] = item_hashes(["a"])[0], 1, START_MS
    fed.tell(Outcomes(START_MS, ["r"], [rows[:2].tobytes()]))
    fed.tell(Outcomes(START_MS, ["r"], [rows.tobytes()]))
    fed.time(60)
    assert fed.made[0].column("dwell_s")[0] == 3
    assert fed.counts == {"complete": 1, "joined": 3, "duplicates": 2}


def test_a_person_who_is_erased_leaves_no_example() -> None:
    """Others do."""
    fed = Feeder().slate(slate("r"), slate("s", user="bob"))
    fed.did("r", *shown("a")).did("s", *shown("a"))
    fed.tell(Outcomes(START_MS, erased=["ann"])).time(61)
    assert fed.names == ["s"]
    assert fed.counts == {"erased": 1, "complete": 1, "joined": 1}
    assert not fed.joiner.outcomes


def test_an_empty_answer_is_no_example() -> None:
    """There is nothing to look at."""
    fed = Feeder().slate(slate("r", items="")).did("r", ("click", "a", 1)).time(61)
    assert fed.made == []
    assert fed.counts == {"never_shown": 1, "no_slot": 1}


@pytest.mark.parametrize("seed", range(5))
def test_a_joiner_that_takes_over_makes_the_same(seed: int) -> None:
    """From what the state holds, at any moment, under the same names."""
    rng = np.random.default_rng(seed)
    steps = []
    for number in range(40):
        at_s = 5.0 * number
        steps.append(("slate", slate(f"r{number}", at_s + float(rng.integers(-9, 9)))))
        target = f"r{int(rng.integers(max(number - 3, 0), number + 3))}"
        steps.append(("did", (target, ("click", str(rng.choice(list("abcd"))), at_s))))
    whole, parts = Feeder(most=6), Feeder(most=6)
    for number, (what, value) in enumerate(steps):
        for fed in (whole, parts):
            fed.slate(value) if isinstance(value, Slate) else fed.did(*value)
        if rng.random() < 0.3:
            before = parts.joiner
            parts.joiner = Joiner(
                window_ms=WINDOW_MS, most=6, now_ms=before.now_ms, passed=before.passed
            )
            parts.joiner.load(
                dict(sorted(before.slates.items())), dict(sorted(before.outcomes.items()))
            )
        assert parts.made == whole.made, (number, what)
    assert len(whole.made) > 10
    assert whole.counts == parts.counts
