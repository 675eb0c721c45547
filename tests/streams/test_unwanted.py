"""What users do not want: event time decides, in any batches, and it goes with the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import (
    EVENT_TYPES,
    REJECTION,
    TAKES_BACK,
    TYPE_CODES,
    EventType,
    effective_type,
)
from freshet.core.state.unwanted import UNWANTED_CAPACITY, UNWANTED_DTYPE, unpack_unwanted
from replay.chaos.people_truth import wrong_unwanted
from replay.chaos.user_truth import UserTruth
from streams.unwanted import Unwanted, pack, take, unpack

from .conftest import NOW_MS
from .user_log import PARTITION, USERS, Folded, Row, erasure, event

ANN, BOB = USERS[:2]
HIDE, LIKE, REPORT = TYPE_CODES["hide"], TYPE_CODES["like"], TYPE_CODES["report"]
DAY_S = 86_400


def unwanted(folded: Folded, user: str = ANN) -> list[tuple[int, int, int]]:
    """What the store holds of a user."""
    fields = folded.store.hashes.get(folded.context.keys.unwanted(PARTITION), {})
    return unpack_unwanted(fields.get(user)).tolist()


def items_of(folded: Folded, user: str = ANN) -> set[int]:
    return {item for item, _, _ in unwanted(folded, user)}


def hashes(*items: str) -> set[int]:
    return set(item_hashes(list(items)).tolist())


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 9),
            st.sampled_from(np.flatnonzero(REJECTION | TAKES_BACK).tolist()),
        ),
        max_size=40,
    ),
    st.sampled_from([0, 3, 100]),
)
def test_the_newest_rejection_holds_until_it_is_taken_back(
    rows: list[tuple[int, int, int]], ttl_s: int
) -> None:
    """Against all events of the item, one by one: the slow twin."""
    found: Unwanted = {}
    for item, ts_s, kind in rows:
        take(found, item, ts_s, kind, ttl_s)
    expected: dict[int, tuple[int, int]] = {}
    for item, ts_s, kind in rows:
        newest = expected.get(item, (-1, 0))
        if newest[0] <= ts_s:
            if REJECTION[kind]:
                expected[item] = ts_s, kind
            else:
                expected.pop(item, None)
        if REJECTION[kind] and ttl_s and expected:
            limit = max(each for each, _ in expected.values()) - ttl_s
            expected = {name: row for name, row in expected.items() if row[0] > limit}
    assert found == expected
    assert unpack(pack(found)) == found


def test_the_oldest_of_too_many_goes() -> None:
    """And the newest stands first."""
    found: Unwanted = {}
    for item in range(UNWANTED_CAPACITY + 3):
        take(found, item, 1_000 + item, HIDE, 0)
    assert min(found) == 3
    assert len(found) == UNWANTED_CAPACITY
    take(found, 999_999, 1, HIDE, 0)  # older than all
    assert 999_999 not in found
    assert unpack_unwanted(pack(found))["item"][0] == UNWANTED_CAPACITY + 2


async def test_a_rejection_holds_however_many_interactions_follow(tmp_path: Path) -> None:
    """The history forgets it after 50."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([event("h", item="x", kind="hide")])
    await folded.read([event(at, item=f"i{at}") for at in range(200)])
    assert unwanted(folded) == [(*hashes("x"), NOW_MS // 1000, HIDE)]
    assert folded.user()["has_unwanted"].tolist() == [1]


@pytest.mark.parametrize("kind", [name for name in EVENT_TYPES if TAKES_BACK[TYPE_CODES[name]]])
async def test_it_is_taken_back(tmp_path: Path, kind: EventType) -> None:
    """Then nothing is left of it, and the user costs nothing again."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([event("h", item="x", kind="hide")])
    await folded.read([event("b", item="x", kind=kind, ts_ms=NOW_MS + 1_000)])
    assert folded.store.hashes[folded.context.keys.unwanted(PARTITION)] == {}
    assert folded.user()["has_unwanted"].tolist() == [0]


@pytest.mark.parametrize("kind", ["click", "view", "dwell", "skip", "impression"])
async def test_a_look_takes_nothing_back(tmp_path: Path, kind: EventType) -> None:
    """Nor does a skip, and none of them rejects."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([event("h", item="x", kind="report")])
    await folded.read([event(at, item=at, kind=kind, ts_ms=NOW_MS + 1_000) for at in "xy"])
    assert items_of(folded) == hashes("x")


async def test_few_stars_reject_and_many_take_back(tmp_path: Path) -> None:
    """By the threshold; and a rating without stars rejects nothing."""
    folded = Folded(tmp_path, low_rating=3.0)
    await folded.start()
    stars = {"low": 3.0, "high": 3.5, "none": None}
    await folded.read(
        [event(name, item=name, kind="rating", value=value) for name, value in stars.items()]
    )
    assert unwanted(folded) == [(*hashes("low"), NOW_MS // 1000, TYPE_CODES["dislike"])]
    counts = folded.user()["type_counts"][0]
    assert (counts[TYPE_CODES["dislike"]], counts[TYPE_CODES["rating"]]) == (1, 2)
    await folded.read([event("again", item="low", kind="rating", value=5.0, ts_ms=NOW_MS + 1)])
    assert unwanted(folded) == []


@pytest.mark.parametrize("at_most", [1, 100])
async def test_a_rejection_that_comes_late_does_not_undo_what_is_newer(
    tmp_path: Path, at_most: int
) -> None:
    """Whether there was a rejection before or not, in one batch or in two."""
    folded = Folded(tmp_path)
    await folded.start()
    rows = [
        event("l", item="x", kind="like", ts_ms=NOW_MS),
        event("c", item="y", ts_ms=NOW_MS + 5_000),
        event("h", item="x", kind="hide", ts_ms=NOW_MS - 1_000),
        event("z", item="z", kind="hide", ts_ms=NOW_MS - 1_000),
        event("m", item="z", kind="like", ts_ms=NOW_MS - 2_000),
    ]
    await folded.read(rows, at_most)
    assert items_of(folded) == hashes("z")


async def test_what_came_late_itself_does_not_take_back(tmp_path: Path) -> None:
    """A telephone sends later what was done before: like, then hide, both older than a click."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read(
        [
            event("c", item="y", ts_ms=NOW_MS),
            event("l", item="x", kind="like", ts_ms=NOW_MS - 9_000),
            event("h", item="x", kind="hide", ts_ms=NOW_MS - 5_000),
        ]
    )
    assert items_of(folded) == hashes("x")


async def test_what_expired_goes_when_another_comes(tmp_path: Path) -> None:
    """By event time."""
    folded = Folded(tmp_path, unwanted_ttl_s=DAY_S)
    await folded.start()
    later_ms = NOW_MS + 1000 * DAY_S
    await folded.read([event("h", item="x", kind="hide")])
    await folded.read([event("i", item="y", kind="hide", ts_ms=later_ms, log_ts_ms=later_ms)])
    assert items_of(folded) == hashes("y")


async def test_an_erasure_deletes_it_and_nothing_comes_back(tmp_path: Path) -> None:
    """Of that person alone: neither from Redis nor from the memory of the worker."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([event(user, user, item="x", kind="hide") for user in (ANN, BOB)])
    await folded.read([erasure(ANN)])
    assert set(folded.store.hashes[folded.context.keys.unwanted(PARTITION)]) == {BOB}
    await folded.read([event("new", ANN, NOW_MS + 1_000, item="y", kind="hide")])
    assert items_of(folded, ANN) == hashes("y")


async def test_who_was_idle_leaves_nothing(tmp_path: Path) -> None:
    """Nor in the worker: who comes back begins again."""
    folded = Folded(tmp_path, user_ttl_s=60)
    shell = await folded.start()
    await folded.read([event(1, ANN, item="x", kind="hide")])
    await folded.read([event(2, BOB, NOW_MS + 62_000)])
    assert await shell.forget_idle(PARTITION, 0) == 0
    assert not folded.store.hashes[folded.context.keys.unwanted(PARTITION)]
    await folded.read([event(3, ANN, NOW_MS + 62_000, item="y", kind="hide")])
    assert items_of(folded, ANN) == hashes("y")


async def test_a_round_never_reads_what_another_is_about_to_write(tmp_path: Path) -> None:
    """What is in memory is newer than what Redis holds: it is read once."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([event("h", item="x", kind="hide")])
    folded.store.hashes[folded.context.keys.unwanted(PARTITION)].clear()  # as if not yet written
    await folded.read([event("i", item="y", kind="hide")])
    assert items_of(folded) == hashes("x", "y")


kinds = st.sampled_from(["hide", "dislike", "report", "like", "purchase", "click", "rating"])
drawn = st.lists(
    st.tuples(
        st.sampled_from([ANN, BOB]), kinds, st.sampled_from("abc"), st.integers(-20, 20),
        st.sampled_from([None, 1.0, 4.0]),
    ),
    max_size=130,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(drawn, st.integers(1, 40), st.integers(1, 3), st.sampled_from([0, 15]))
async def test_the_batches_and_the_workers_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, EventType, str, int, float | None]],
    at_most: int,
    workers: int,
    ttl_s: int,
) -> None:
    """The same bytes, of records too, in one batch or in many, by one worker or by several.

    And what the slow twin says.
    """
    log: list[Row] = [
        event(at, user, NOW_MS + 1000 * (at + late_s), item=item, kind=kind, value=value,
              log_ts_ms=NOW_MS + 1_000_000)
        for at, (user, kind, item, late_s, value) in enumerate(rows)
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("models")
    one, many = Folded(folder, unwanted_ttl_s=ttl_s), Folded(folder, unwanted_ttl_s=ttl_s)
    await one.start()
    await one.read(log)
    for some in np.array_split(np.arange(len(log)), workers):
        await many.start()
        await many.read([log[at] for at in some], at_most)
    assert one.users == many.users
    assert [unwanted(one, user) for user in (ANN, BOB)] == [
        unwanted(many, user) for user in (ANN, BOB)
    ]
    truths = {user: UserTruth(DAY_S, unwanted_ttl_s=ttl_s) for user in (ANN, BOB)}
    for at, (user, kind, item, late_s, value) in enumerate(rows):
        counts_as = effective_type(TYPE_CODES[kind], value, 2.0)
        truths[user].take(counts_as, item, NOW_MS // 1000 + at + late_s, 0)
    found = {user: np.array(unwanted(one, user), UNWANTED_DTYPE) for user in (ANN, BOB)}
    assert wrong_unwanted(found, truths) == 0
