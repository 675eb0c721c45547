"""Learning from the stream: examples in, mini-batches learned, and how far was read beside it.

Law: what was learned and how far was read are one state. So after any end the next life goes on
where that state was, learns no example twice, and comes to the same weights.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from freshet.core.events.example_log import LoggedExample
from online_models.features import FEATURE_SCHEMA
from online_models.tasks import TASKS
from online_models.training.examined import Examined, Floats, Rows, examined_slots
from online_models.training.networks import CalibratedRanker
from online_models.training.online_ranker import Learner, OnlineRanker, new_learner
from online_models.training.ranker import untrained_ranker
from online_models.training.replay_buffer import ReplayBuffer, packed, unpacked

COUNTS: Final = ("learned", "unusable", "repeated", "skipped")
CALIBRATION_STEPS: Final = 20  # mini-batches between two calibrations
SCHEMA: Final = [FEATURE_SCHEMA, *TASKS]
"""What is learned from, and what is learned; a state of another schema is not gone on with."""

_BEFORE_ALL: Final = (-1, -1)

Start = Callable[[], CalibratedRanker | None]
"""Returns the ranker to begin with; None for the fusion of the sources."""


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """How to learn.

    Attributes:
        batch: new answers in a mini-batch; as many come from the replay buffer.
        first: answers that a ranker is calibrated on before it learns from them.
        buffer: answers that the replay buffer holds.
        window: newest answers that a candidate is judged by.
        calibrated: newest of these that it is calibrated on; fewer follow faster, with more noise.
        seed: of every generator.
    """

    batch: int = 8
    first: int = 256
    buffer: int = 20_000
    window: int = 2_000
    calibrated: int = 1_000
    seed: int = 7


class _Waiting(NamedTuple):
    """An example that is not learned yet, and where reading goes on behind it."""

    partition: int
    next_offset: int
    name: tuple[int, int]
    given_by: str
    answer: Examined | None


class _Judged(NamedTuple):
    """An answer, the version that gave it, and what was foreseen of it, (n, T)."""

    answer: Examined
    given_by: str
    foreseen: Floats


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The newest answers, and the probabilities that were foreseen before they were learned.

    Attributes:
        answers: how many.
        rows: their n slots.
        probabilities: (n, T) float32.
    """

    answers: int
    rows: Rows
    probabilities: Floats


class StreamLearner:
    """Learns from examples, in the order in which they are taken.

    Args:
        start: asked once there are enough examples to begin with.
        options: how to learn.

    Attributes:
        positions: next offset of each partition, behind what was learned.
        counts: of the words of `COUNTS`.
    """

    def __init__(self, start: Start, options: FollowOptions) -> None:
        self.positions: dict[int, int] = {}
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._start = start
        self._options = options
        self._names: dict[int, tuple[int, int]] = {}  # of the last example that was learned
        self._taken: dict[int, tuple[int, int]] = {}  # of the last one that was taken
        self._waiting: list[_Waiting] = []
        self._usable = 0
        self._learner: Learner | None = None
        self._buffer = ReplayBuffer(options.buffer)
        self._window: deque[_Judged] = deque(maxlen=options.window)

    # --- learning ---

    def take(self, logged: LoggedExample) -> None:
        """Take the next example, and learn when there are enough of them."""
        partition, offset, example = logged
        last = self._taken.get(partition, _BEFORE_ALL)
        answer = None
        if example.name <= last:
            self.counts["repeated"] += 1
        elif (answer := examined_slots(example)) is None:
            self.counts["unusable"] += 1
        name = self._taken[partition] = max(example.name, last)
        self._usable += answer is not None
        waiting = _Waiting(partition, offset + 1, name, example.model_version, answer)
        self._waiting.append(waiting)
        if not self._usable:
            self._passed()
        elif self._usable >= (self._options.batch if self._learner else self._options.first):
            self._learn_waiting()

    def begin_anew(self) -> None:
        """Forget what was learned, but neither the examples nor how far was read."""
        self._learner = None
        self._window.clear()

    def _learn_waiting(self) -> None:
        usable = [(each.answer, each.given_by) for each in self._waiting if each.answer is not None]
        if self._learner is None:
            first = Rows.of([answer for answer, _ in usable])
            self._learner = new_learner(self._start(), first, seed=self._options.seed)
        for start in range(0, len(usable), self._options.batch):
            self._learn(self._learner, usable[start : start + self._options.batch])
        self._passed()

    def _learn(self, learner: Learner, some: Sequence[tuple[Examined, str]]) -> None:
        """Foresee some answers, learn them, and remember them and who gave them."""
        answers = [answer for answer, _ in some]
        new = Rows.of(answers)
        foreseen = _split(learner.predict(new.features), answers)
        judged = zip(some, foreseen, strict=True)
        self._window.extend(_Judged(*each, probabilities) for each, probabilities in judged)
        # Of the step alone, so that nothing of the generator need be kept.
        rng = np.random.default_rng([self._options.seed, learner.steps])
        if learner.learn(new, Rows.of(self._buffer.draw(len(answers), rng))) is None:
            self.counts["skipped"] += len(answers)
        for answer in answers:
            self._buffer.add(answer, rng)
        self.counts["learned"] += len(answers)
        if learner.steps % CALIBRATION_STEPS == 0:
            newest = list(self._window)[-self._options.calibrated :]
            learner.calibrate(Rows.of([each.answer for each in newest]))

    def _passed(self) -> None:
        """Move the positions behind what waited."""
        for each in self._waiting:
            self.positions[each.partition] = each.next_offset
            self._names[each.partition] = each.name
        self._waiting.clear()
        self._usable = 0

    # --- what it has come to ---

    @property
    def candidate(self) -> CalibratedRanker | None:
        """A copy of the ranker as it stands; None before the first mini-batch."""
        return self._learner.candidate() if self._learner else None

    def foreseen(self, given_by: Container[str]) -> Foreseen:
        """Return what was foreseen of those of the newest answers that these versions gave."""
        judged = [each for each in self._window if each.given_by in given_by]
        rows = Rows.of([each.answer for each in judged])
        return Foreseen(len(judged), rows, _joined([each.foreseen for each in judged]))

    # --- what is kept ---

    def state(self) -> dict[str, Any]:
        """Return all that it needs to go on; examples that wait are to be read again."""
        return {
            "schema": SCHEMA,
            "positions": dict(self.positions),
            "names": {each: list(name) for each, name in self._names.items()},
            "counts": {name: self.counts[name] for name in COUNTS},
            "learner": self._learner.state() if self._learner else None,
            "buffer": _tensors(self._buffer.state()),
            "window": _tensors(packed([each.answer for each in self._window])),
            "given_by": [each.given_by for each in self._window],
            "foreseen": torch.from_numpy(_joined([each.foreseen for each in self._window])),
        }

    def restore(self, state: dict[str, Any], *, ranker: bool) -> None:
        """Take the place of the learner that gave this state.

        Args:
            state: of the other.
            ranker: whether its ranker is still wanted.
        """
        self.positions = dict(state["positions"])
        self._names = {each: (name[0], name[1]) for each, name in state["names"].items()}
        self._taken = dict(self._names)
        self.counts.update({name: state["counts"][name] - self.counts[name] for name in COUNTS})
        if state.get("schema") != SCHEMA:
            return  # what was learned is of another kind; where reading goes on is not
        self._buffer.restore(_arrays(state["buffer"]))
        if not ranker or state["learner"] is None:
            return
        blank = untrained_ranker()
        network = OnlineRanker(blank.ranker, blank.calibration)
        self._learner = Learner(network, seed=self._options.seed)
        self._learner.restore(state["learner"])
        answers = unpacked(_arrays(state["window"]))
        foreseen = _split(state["foreseen"].numpy(), answers)
        columns = zip(answers, state["given_by"], foreseen, strict=True)
        self._window.extend(_Judged(*each) for each in columns)


def _split(rows: Floats, answers: Sequence[Examined]) -> list[Floats]:
    """Return the rows that belong to each answer."""
    ends = np.cumsum([len(each) for each in answers])
    return np.split(rows, ends[:-1]) if answers else []


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate([np.empty((0, len(TASKS)), np.float32), *parts])


def _tensors(arrays: dict[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _arrays(tensors: dict[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
