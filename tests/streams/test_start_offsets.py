"""Where partitions start: never advice to leave state behind, unless it is sure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from faust.types import TP

from freshet.core.errors import ServiceError, SettingError
from streams.exits import EXIT_RESTART, EXIT_SETTING, Ending, ExitCounts
from streams.start_offsets import LOOKS, start_offsets

U0, U1 = TP("users", 0), TP("users", 1)


class Log:
    """Positions and ends of partitions, look by look; the last one stays."""

    def __init__(self, *looks: tuple[int, int | None]) -> None:
        self.looks = list(looks)
        self.asked: list[str] = []

    async def start(self, tp: TP) -> int:
        """The position of this look; what is asked for is noted."""
        self.asked.append(f"position {tp.partition}")
        return self.looks[0][0] if tp == U0 else 0

    async def ends(self, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """The ends of this look, which is over then."""
        self.asked.append(f"ends {sorted(tp.partition for tp in tps)}")
        end = self.looks[0][1]
        if len(self.looks) > 1:
            self.looks.pop(0)
        return {tp: end if tp == U0 else 0 for tp in tps}

    async def offsets(self, *assigned: TP) -> dict[TP, int]:
        """Start the partitions."""
        return await start_offsets(assigned or (U0,), self.start, self.ends, look_again_s=0.0)


@pytest.mark.parametrize("position", [0, 9, 10])
async def test_a_position_up_to_the_end_is_good(position: int) -> None:
    """At the end there is just nothing to read; one look is enough."""
    log = Log((position, 10))
    assert await log.offsets(U0, U1) == {U0: position, U1: 0}
    assert log.asked == ["position 0", "position 1", "ends [0, 1]"]


async def test_no_partition_is_no_question_of_a_position() -> None:
    """A worker too many."""
    assert await start_offsets([], Log((0, 0)).start, Log((0, 0)).ends) == {}


async def test_a_position_that_stays_behind_the_end_is_refused() -> None:
    """The topic is another one: every look says so, with what was found and expected."""
    log = Log((11, 10))
    with pytest.raises(SettingError) as caught:
        await log.offsets(U0, U1)
    assert "position of users-0 is 11, expected at most 10" in str(caught.value)
    assert log.asked.count("position 0") == log.asked.count("ends [0]") + 1 == LOOKS + 1
    assert log.asked.count("position 1") == 1


async def test_a_topic_that_was_created_anew_is_refused_though_it_grows() -> None:
    """Once it had grown past the position, events would be skipped without a word."""
    with pytest.raises(SettingError, match="created anew"):
        await Log(*[(1_000, 10 * look) for look in range(99)]).offsets()


@pytest.mark.parametrize("late", range(1, LOOKS + 1))
async def test_an_end_that_was_only_stale_is_no_reason_to_end(late: int) -> None:
    """A broker that has just come to lead a partition may lag for a moment."""
    log = Log(*[(11, 10)] * late, (11, 11))
    assert await log.offsets() == {U0: 11}


async def test_a_position_that_moves_is_read_again_when_it_fits() -> None:
    """What another worker applied meanwhile is where this one goes on."""
    assert await Log((11, 10), (14, 14), (15, 99)).offsets() == {U0: 14}


async def test_a_position_that_moves_and_never_fits_is_a_fault_that_passes() -> None:
    """Another worker still applies: no advice about namespaces, and started again."""
    with pytest.raises(ServiceError, match="another worker still applies") as caught:
        await Log(*[(11 + look, 10 + look) for look in range(99)]).offsets()
    assert "NAMESPACE" not in str(caught.value)
    assert code_of(caught.value) == EXIT_RESTART


@pytest.mark.parametrize("position", [0, 5])
async def test_an_end_that_is_not_known_refuses_no_state(position: int) -> None:
    """Where nothing was applied there is nothing to doubt; else the worker starts again."""
    log = Log((position, None))
    if not position:
        assert await log.offsets() == {U0: 0}
        return
    with pytest.raises(ServiceError, match="is not known"):
        await log.offsets()


async def test_only_what_is_sure_ends_for_good() -> None:
    """By the code with which the process ends: 2 is not started again."""
    with pytest.raises(SettingError) as caught:
        await Log((11, 10)).offsets()
    assert code_of(caught.value) == EXIT_SETTING


def code_of(error: BaseException) -> int:
    """The code with which a worker ends that meets the error."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit(code)

    with pytest.raises(SystemExit):
        Ending(ExitCounts(None), leave)(error)  # type: ignore[arg-type]
    return codes[0]
