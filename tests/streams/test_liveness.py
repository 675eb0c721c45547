"""A worker that gets on is left alone, and one that does not is found out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from freshet.core.errors import LivenessError
from streams.liveness import AssignedPositions, Limits, Liveness, Partition, Sight

LIMITS = Limits(stall_s=30, broker_gone_s=60, frozen_s=7, memory_bytes=100 << 20)
USERS_0: Partition = ("users", 0)
USERS_1: Partition = ("users", 1)


def sight(
    positions: Mapping[Partition, int | None] | None,
    ends: Mapping[Partition, int],
    *,
    loop_silent_s: float = 0,
    memory_bytes: int = 0,
) -> Sight:
    return Sight(positions, ends, loop_silent_s, memory_bytes)


def watched(limits: Limits = LIMITS) -> Liveness:
    return Liveness(limits, now_s=0)


def looks(liveness: Liveness, until_s: int, seen: Sight, *, since_s: int = 5) -> list[Partition]:
    """Look every 5 s; return what the last look suspects."""
    found: list[Partition] = []
    for now_s in range(since_s, until_s + 1, 5):
        found = liveness.look(now_s, seen)
    return found


def test_a_worker_without_partitions_is_alive_for_ever() -> None:
    """There may be more workers than partitions."""
    assert looks(watched(), 600, sight({}, {USERS_0: 10})) == []


def test_a_worker_with_nothing_to_do_is_alive_for_ever() -> None:
    """Its positions stand at the ends of the logs."""
    assert looks(watched(), 600, sight({USERS_0: 10}, {USERS_0: 10})) == []


def test_records_that_wait_at_a_position_that_stands_are_a_stall() -> None:
    """After 30 s, and not of its neighbour that has none."""
    liveness = watched()
    seen = sight({USERS_0: 7, USERS_1: 4}, {USERS_0: 8, USERS_1: 4})
    assert looks(liveness, 30, seen) == []
    assert liveness.look(35, seen) == [USERS_0]
    error = liveness.stalled(USERS_0)
    assert error.reason == "stalled"
    assert "partition 0 of the users fold stands at offset 7 for 30 s" in str(error)


def test_a_position_that_moves_at_all_is_progress() -> None:
    """However far behind it is."""
    liveness = watched()
    for now_s in range(5, 600, 5):
        slow = sight({USERS_0: now_s // 20}, {USERS_0: 10**9})
        assert liveness.look(now_s, slow) == []


def test_a_position_that_goes_back_is_watched_anew() -> None:
    """Redis was rewound: the worker reads again what it had read."""
    liveness = watched()
    looks(liveness, 30, sight({USERS_0: 7}, {USERS_0: 9}))
    assert looks(liveness, 60, sight({USERS_0: 3}, {USERS_0: 9}), since_s=35) == []


def test_a_log_that_only_seems_to_hold_more_is_none() -> None:
    """Markers of transactions have offsets and are no records; what comes later counts anew."""
    liveness = watched()
    assert looks(liveness, 35, sight({USERS_0: 7}, {USERS_0: 8})) == [USERS_0]
    liveness.clear(USERS_0, 8)
    assert looks(liveness, 600, sight({USERS_0: 7}, {USERS_0: 8}), since_s=40) == []
    more = sight({USERS_0: 7}, {USERS_0: 9})
    assert looks(liveness, 625, more, since_s=605) == []
    assert liveness.look(630, more) == [USERS_0]


def test_a_partition_that_another_worker_has_is_not_this_ones_stall() -> None:
    """It was taken away, and comes back later with its time at nought."""
    liveness = watched()
    seen = sight({USERS_0: 7}, {USERS_0: 8})
    looks(liveness, 30, seen)
    looks(liveness, 40, sight({}, {USERS_0: 8}), since_s=35)
    assert looks(liveness, 70, seen, since_s=45) == []


@pytest.mark.parametrize("between", [None, {USERS_0: None}])
def test_joining_again_and_again_is_no_progress(
    between: dict[Partition, int | None] | None,
) -> None:
    """Each time the partition is given back, and each time nothing comes of it."""
    liveness = watched()
    found = []
    for now_s in range(5, 45, 10):
        found = liveness.look(now_s, sight({USERS_0: 7}, {USERS_0: 8}))
        liveness.look(now_s + 5, sight(between, {USERS_0: 8}))
    assert found == [USERS_0]


@pytest.mark.parametrize("positions", [None, {USERS_0: None}])
def test_waiting_for_the_group_has_an_end(positions: dict[Partition, int | None] | None) -> None:
    """Neither joining nor starting may take more than twice the time of a stall."""
    liveness = watched()
    waiting = sight(positions, {USERS_0: 8})
    looks(liveness, 55, waiting)
    with pytest.raises(LivenessError, match="group has not let this worker read for 60 s"):
        liveness.look(60, waiting)


def test_no_broker_for_a_minute_is_too_long() -> None:
    """And nothing else is held against the worker meanwhile."""
    liveness = watched()
    looks(liveness, 25, sight({USERS_0: 7}, {USERS_0: 8}))
    assert looks(liveness, 80, sight({USERS_0: 7}, {}), since_s=30) == []
    with pytest.raises(LivenessError, match="broker_gone: no broker of Kafka has answered for 60"):
        liveness.look(85, sight({USERS_0: 7}, {}))


def test_a_broker_that_comes_back_starts_the_clock_of_a_stall_anew() -> None:
    """Nobody could read while it was away."""
    liveness = watched()
    seen = sight({USERS_0: 7}, {USERS_0: 8})
    looks(liveness, 25, seen)
    looks(liveness, 60, sight({USERS_0: 7}, {}), since_s=30)
    assert looks(liveness, 90, seen, since_s=65) == []
    assert liveness.look(95, seen) == [USERS_0]


def test_a_silent_event_loop_is_a_stall_without_any_record() -> None:
    """It would not serve the next one either."""
    silent = sight({USERS_0: 8}, {USERS_0: 8}, loop_silent_s=30)
    with pytest.raises(LivenessError, match="event loop has done nothing"):
        watched().look(5, silent)


def test_too_much_memory_ends_the_worker() -> None:
    """By the byte; 0 allows any."""
    full = sight({}, {USERS_0: 0}, memory_bytes=100 << 20)
    assert watched().look(5, full) == []
    over = sight({}, {USERS_0: 0}, memory_bytes=(100 << 20) + 1)
    assert watched(Limits(stall_s=30, broker_gone_s=60)).look(5, over) == []
    with pytest.raises(LivenessError) as raised:
        watched().look(5, over)
    assert raised.value.reason == "memory"


def test_a_process_that_was_frozen_begins_anew() -> None:
    """The group has given its partitions away, or is about to; a short nap is none."""
    watched().wake(6.9)
    watched(Limits()).wake(600)
    with pytest.raises(LivenessError, match="frozen: the process stood still for 7 s"):
        watched().wake(7)


@pytest.mark.parametrize("ends", [{}, {USERS_0: 8}])
def test_what_is_switched_off_is_never_found(ends: dict[Partition, int]) -> None:
    """0 = never, for stalls and for brokers."""
    lenient = watched(Limits())
    assert looks(lenient, 600, sight({USERS_0: 7}, ends, loop_silent_s=600)) == []


def test_positions_are_those_of_the_last_assignment() -> None:
    """In whatever order the news arrives; what was revoked is forgotten."""
    positions = AssignedPositions()
    assert positions.read() is None
    positions.move(USERS_0, 5)
    positions.assign([USERS_0, USERS_1])
    assert positions.read() == {USERS_0: 5, USERS_1: None}
    positions.move(USERS_1, 9)
    assert positions.read() == {USERS_0: 5, USERS_1: 9}
    positions.revoke()
    assert positions.read() is None
    positions.assign([USERS_1])
    assert positions.read() == {USERS_1: None}
