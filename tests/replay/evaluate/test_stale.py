"""A stale product has seen what is old enough and no more, and takes the trainings it was given."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.settings import Settings
from online_models.training.log import TrainingLog, build_log
from replay.evaluate.judge import Judge, Plan
from replay.evaluate.request import PRODUCT, Request, Rows
from replay.evaluate.stale import Arm, SharedTrainer, StaleLife, StaleProduct, is_taken
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.lived import LivedLog
from replay.world import Plan as WorldPlan

HOUR_S = 3_600


@dataclass
class Spy:
    """Stands for a lived log: notes how far it was lived."""

    log: TrainingLog
    now: int = 0

    def live(self, end: int) -> None:
        self.now = max(self.now, end)


@pytest.fixture(scope="module")
def invented() -> Any:
    """A log of two days, and its events."""
    plan = WorldPlan(users=80, items=40, days=2)
    world, rows = generate(plan)
    events = list(to_events(plan, rows))
    return build_log(events, to_items(plan, world)), events


@pytest.mark.parametrize("delay_s", [0, 1, HOUR_S, 10 * 86_400])
def test_what_is_younger_than_the_delay_has_not_happened(invented: Any, delay_s: int) -> None:
    """Counted the slow way; without a delay, nothing of the request's own time is known either."""
    log, _ = invented
    for end in (1, 500, 501, len(log) - 1):
        spy = Spy(log)
        StaleLife(cast(LivedLog, spy), delay_s, 0).live(end)
        old = [row for row in range(end) if log.ts_ms[row] <= log.ts_ms[end] - 1_000 * delay_s]
        assert spy.now == len(old)


class Watching(StaleProduct):
    """Notes its requests."""

    def __init__(self, life: StaleLife, arm: Arm) -> None:
        super().__init__(life, arm)
        self.requests: list[Request] = []

    def recommend(self, request: Request) -> Rows:
        self.requests.append(request)
        return super().recommend(request)


def test_arms_beside_the_product(invented: Any) -> None:
    """Without a delay an arm is the product; with one, hiding what was seen keeps the rest."""
    log, events = invented
    live, late = (StaleLife(LivedLog(log, events, Settings()), each, 0) for each in (0, HOUR_S))
    fresh, stale = StaleProduct(live, Arm()), StaleProduct(late, Arm(HOUR_S))
    hiding = Watching(late, Arm(HOUR_S, hides_seen=True))
    arms = [fresh, stale, hiding]
    # All are asked from the first on, and live in the same steps.
    plan = Plan(requests=80, expose_from=0.3, judge_from=0.3, slates=0, rejections=0)
    lists = Judge("invented", log, events, Settings(), None, arms, plan).run().lists
    assert (lists[fresh.name] == lists[PRODUCT]).all()
    assert (lists[stale.name] != lists[PRODUCT]).any()
    struck = 0
    for request, old, hidden in zip(
        hiding.requests, lists[stale.name], lists[hiding.name], strict=True
    ):
        left = [row for row in old.tolist() if row >= 0 and request.offered[row]]
        assert hidden[: len(left)].tolist() == left
        listed = hidden[hidden >= 0]
        assert request.offered[listed].all()
        assert len(set(listed.tolist())) == len(listed)
        struck += len(left) < (old >= 0).sum()
    assert struck, "nobody came back within an hour: the log tests nothing"


@given(trainings=st.integers(0, 60), data=st.data())
def test_trainings_are_taken_evenly(trainings: int, data: st.DataObject) -> None:
    """As many as were asked for; the waits between them differ by one training at most."""
    taken = data.draw(st.integers(0, trainings))
    numbers = [n for n in range(1, trainings + 1) if is_taken(n, trainings, taken)]
    assert len(numbers) == taken
    waits = np.diff([0, *numbers, trainings + 1])
    assert waits.max() - waits.min() <= 1


class Growing:
    """A trainer whose one bundle changes with every training, as networks do."""

    def __init__(self) -> None:
        self.network = [0]

    def train_encoder(self, _end: int) -> None:
        self.network[0] += 1

    def bundle(self, _end: int) -> Any:
        return self.network


class Taking:
    """Stands for a stale life: keeps what it was given, and what had happened by then."""

    def __init__(self, trainings: int) -> None:
        self.trainings = trainings
        self.ends: list[int] = []
        self.bundles: list[Any] = []

    def live(self, end: int) -> None:
        self.ends.append(end)

    def use(self, bundle: Any) -> None:
        self.bundles.append(bundle)


def test_lives_take_their_share_of_the_same_trainings() -> None:
    """All take those before answers count; what was taken stays as it was."""
    growing, lives = Growing(), [Taking(4), Taking(1), Taking(0)]
    shared = SharedTrainer(cast(Any, growing), cast(Any, lives), 4)
    for end in range(100, 700, 100):
        shared.train_encoder(end)
        assert shared.bundle(end) is cast(Any, growing.network)
    assert [life.bundles for life in lives] == [
        [[1], [2], [3], [4], [5], [6]],
        [[1], [2], [5]],
        [[1], [2]],
    ]
    assert lives[1].ends == [100, 200, 500]
