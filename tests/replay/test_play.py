"""Playing a log: everything, in order, when it is due, catalogue first."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import Event, Item
from replay.play import CHECKPOINT_S, CHUNK_EVENTS, Player
from replay.targets import Refusal, Sent

T = 1_700_000_000_000


def _event(number: int, *, ts_ms: int = T, item: str = "i") -> Event:
    return Event(event_id=str(number), type="click", user_id=f"u{number % 3}", item_id=item,
                 ts_ms=ts_ms)  # fmt: skip


class _World:
    """Target, pacer, display and clock in one: writes down what happens and when."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sent: list[tuple[float, Event]] = []
        self.log: list[str] = []
        self.items: list[Item] = []
        self.shown: list[int] = []
        self.noted = 0
        self.in_flight = 0
        self.refused: set[str] = set()

    def send(self, events: Sequence[Event]) -> Sent:
        self.log.append("send")
        refused = [
            Refusal(at, "no") for at, event in enumerate(events) if event.event_id in self.refused
        ]
        bad = {at for at, _ in refused}
        self.sent += [(self.now_s, event) for at, event in enumerate(events) if at not in bad]
        return Sent(1, refused)

    def put_items(self, items: Sequence[Item]) -> Sequence[Refusal]:
        if items:
            self.log.append("items")
        self.items += items
        return ()

    def flush(self) -> None:
        self.log.append("flush")

    @property
    def pacer(self) -> Any:
        world = self

        class _Pacer:
            sent = np.zeros(4, np.int64)
            in_flight = 3

            def wait_for_room(self, stop: Any) -> None:
                world.log.append("room")

            def wait_until_drained(self, stop: Any) -> None:
                world.log.append("drained")

            def note_sent(self, partitions: Any, largest_bytes: int) -> None:
                world.noted += len(partitions)

        return _Pacer()

    def show(self, events: int, in_flight: int, ts_ms: int) -> None:
        self.shown.append(events)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def _play(events: list[Event], items: list[Item] | None, speed: float = inf) -> _World:
    world = _World()
    player = Player(world, world.pacer, world, clock=lambda: world.now_s, sleep=world.sleep)
    played = player.play(events, items, speed=speed)
    assert played.events == len(events) == world.noted
    assert [event for _, event in world.sent] == events
    return world


@pytest.mark.parametrize("speed", [inf, 10.0])
def test_an_empty_log_is_played_at_once(speed: float) -> None:
    """Nothing is sent, and the end is still waited for."""
    world = _play([], None, speed)
    assert (world.now_s, world.log) == (0.0, ["flush", "drained"])


@pytest.mark.parametrize("count", [1, CHUNK_EVENTS, CHUNK_EVENTS + 1])
def test_everything_is_sent_in_order_and_room_is_asked_for_before(count: int) -> None:
    """Chunk by chunk, and at the end the folds are waited for."""
    world = _play([_event(number) for number in range(count)], [])
    chunks = -(-count // CHUNK_EVENTS)
    assert world.log == ["room", "send"] * chunks + ["flush", "drained"]
    assert world.shown[-1] == count


def test_the_catalogue_is_in_the_state_before_the_first_event() -> None:
    """So that the first list can recommend."""
    world = _play([_event(1)], [Item(item_id="i")])
    assert world.log[:3] == ["items", "flush", "drained"]


def test_without_a_catalogue_items_are_entered_once_when_first_seen() -> None:
    """With the time of their first event, before that event is sent."""
    world = _play(
        [_event(1, item="a"), _event(2, item="b", ts_ms=T + 5), _event(3, item="a")], None
    )
    assert world.items == [
        Item(item_id="a", created_ts_ms=T),
        Item(item_id="b", created_ts_ms=T + 5),
    ]
    assert world.log.index("items") < world.log.index("send")


def test_events_are_sent_when_they_are_due() -> None:
    """Ten times faster than they were lived, never early by more than a tick."""
    events = [_event(number, ts_ms=T + number * 1000) for number in range(50)]
    world = _play(events, [], speed=10.0)
    for at_s, event in world.sent:
        due_s = (event.ts_ms - T) / 1000 / 10
        assert due_s - 0.05 <= at_s <= due_s + 0.05


def test_an_event_out_of_order_holds_nothing_back() -> None:
    """It is sent where it stands, at once."""
    events = [_event(1, ts_ms=T + 10_000), _event(2, ts_ms=T), _event(3, ts_ms=T + 20_000)]
    world = _play(events, [], speed=10.0)
    assert [at_s for at_s, _ in world.sent] == [0.0, 0.0, 1.0]


def test_refused_events_are_named_and_do_not_count_as_sent() -> None:
    """Those behind them are sent, and nothing waits for what never comes."""
    world = _World()
    world.refused = {"3", str(CHUNK_EVENTS + 2)}
    events = [_event(number) for number in range(CHUNK_EVENTS + 5)]
    player = Player(world, world.pacer, world, clock=lambda: world.now_s, sleep=world.sleep)
    played = player.play(events, [], speed=inf)
    assert (played.events, played.done, played.refused) == (CHUNK_EVENTS + 3, CHUNK_EVENTS + 5, 2)
    assert [at for at, _ in played.refusals] == [3, CHUNK_EVENTS + 2]
    assert world.noted == len(world.sent) == CHUNK_EVENTS + 3


@pytest.mark.parametrize("stop_at_s", [0.0, 2.0, 2.95])
def test_it_ends_between_two_chunks_when_it_is_asked_to(stop_at_s: float) -> None:
    """Also while nothing is due; what was sent is flushed first, and its number is exact."""
    world, kept = _World(), []
    events = [_event(number, ts_ms=T + number * 10_000) for number in range(10)]
    player = Player(
        world, world.pacer, world, clock=lambda: world.now_s, sleep=world.sleep,
        stop=lambda: world.now_s >= stop_at_s, checkpoint=kept.append,
    )  # fmt: skip
    played = player.play(events, [], speed=10.0)
    assert played.stopped
    assert played.done == len(world.sent) == kept[-1]
    assert world.now_s < stop_at_s + 0.25
    assert "drained" not in world.log


def test_checkpoints_follow_what_is_flushed() -> None:
    """None says more than what the target keeps."""
    world, kept = _World(), []

    def keep(done: int) -> None:
        assert done == len(world.sent)
        assert not done or world.log[-1] == "flush"
        kept.append(done)

    events = [_event(number, ts_ms=T + number * 1_000) for number in range(30)]
    player = Player(
        world, world.pacer, world, clock=lambda: world.now_s, sleep=world.sleep, checkpoint=keep
    )
    player.play(events, [], speed=10.0)
    assert kept[0] == 0
    assert kept[-1] == 30
    assert 2 / CHECKPOINT_S <= len(kept) <= 3 / CHECKPOINT_S + 2
