"""Screening: copies and what erased people did stay out, and the fold's rows keep their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streams.screening import Screening

from .conftest import NOW_MS
from .user_log import PARTITION, USERS, Folded, Row, erasure, event

ANN, BOB = USERS[:2]
MINUTE_MS = 60_000


async def folded_log(models: Path, rows: list[Row], at_most: int = 512) -> Folded:
    """Fold a log of one partition."""
    folded = Folded(models)
    await folded.start()
    await folded.read(rows, at_most)
    return folded


def counted(folded: Folded, user: str = ANN) -> int:
    """How many events of a user count."""
    return int(folded.user(user)["type_counts"].sum())


async def test_a_purchase_is_known_after_a_list(tmp_path: Path) -> None:
    """Twenty impressions in between, or a thousand."""
    for shown in (20, 1_000):
        purchase = event("p", ANN, kind="purchase")
        impressions = [event(f"i{n}", ANN, kind="impression") for n in range(shown)]
        folded = await folded_log(tmp_path, [purchase, *impressions, purchase, *impressions])
        assert counted(folded) == 1 + shown
        assert folded.totals("applied", "duplicates", "impressions") == (
            1 + shown, 1 + shown, shown,
        )  # fmt: skip


@pytest.mark.parametrize("at_most", [1, 7, 512])
async def test_a_batch_that_is_sent_again_counts_once(tmp_path: Path, at_most: int) -> None:
    """A hundred clicks of one user, minutes later, also to the next worker."""
    clicks = [event(n, ANN, item=f"item-{n % 9}") for n in range(100)]
    later = [(value, NOW_MS + 9 * MINUTE_MS) for value, _ in clicks]
    folded = await folded_log(tmp_path, [*clicks, *later], at_most)
    await folded.start()
    await folded.read(later)
    assert counted(folded) == 100
    assert folded.totals("applied", "duplicates") == (100, 200)


async def test_an_id_is_a_users_own(tmp_path: Path) -> None:
    """The same of two users is two events."""
    folded = await folded_log(tmp_path, [event(1, ANN), event(1, BOB), event(1, ANN)])
    assert (counted(folded, ANN), counted(folded, BOB)) == (1, 1)


async def test_what_is_left_out_moves_no_row(tmp_path: Path) -> None:
    """Each item is told of its own events, those behind a copy too."""
    rows = [event(1, ANN, item="a"), event(1, ANN, item="a"), event(2, ANN, item="b")]
    in_one, one_by_one = await folded_log(tmp_path, rows), await folded_log(tmp_path, rows, 1)
    assert in_one.users == one_by_one.users
    assert in_one.position == one_by_one.position
    values = in_one.producer.values("freshet.item-deltas")
    assert sum(raw.count(b"a") for raw in values if raw) >= 1


async def test_ids_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    """The same bytes in Redis, as of all state."""
    rng = np.random.default_rng(3)
    rows = [
        event(rng.integers(300), USERS[rng.integers(4)], NOW_MS + 1_000 * n,
              kind="impression" if rng.random() < 0.5 else "click", log_ts_ms=NOW_MS + 1_000 * n)
        for n in range(900)
    ]  # fmt: skip
    found = [await folded_log(tmp_path, rows, at_most) for at_most in (1, 50, 1_000)]
    key = found[0].context.keys.event_ids(PARTITION)
    assert all(each.store.hashes[key] == found[0].store.hashes[key] for each in found)
    assert found[0].totals("duplicates")[0] > 200


AHEAD_MS = 4 * MINUTE_MS


async def test_an_erased_event_stays_out_whatever_its_clock_said(tmp_path: Path) -> None:
    """It was four minutes ahead: its time is later than that of the erasure."""
    ahead = event("x", ANN, NOW_MS + AHEAD_MS)
    folded = await folded_log(tmp_path, [ahead, erasure(ANN), ahead])
    assert folded.users == {}
    await folded.start()
    for later_ms in (1, 5 * MINUTE_MS, 11 * MINUTE_MS, 600 * MINUTE_MS):
        await folded.read([(ahead[0], NOW_MS + later_ms)])
        assert folded.users == {}


async def test_it_stays_out_when_its_id_is_not_known_any_more(tmp_path: Path) -> None:
    """Ids are remembered for a time, erasures for ever."""
    ahead = event("x", ANN, NOW_MS + AHEAD_MS)
    folded = await folded_log(tmp_path, [ahead, erasure(ANN)])
    folded.store.hashes.pop(folded.context.keys.event_ids(PARTITION))
    await folded.start()
    await folded.read([(ahead[0], NOW_MS + 11 * MINUTE_MS)])
    assert folded.users == {}
    assert folded.totals("erased") == (1,)


@pytest.mark.parametrize("later_ms", [1, 30_000, 11 * MINUTE_MS])
async def test_what_is_new_after_an_erasure_counts(tmp_path: Path, later_ms: int) -> None:
    """At once and later, though somebody's clock was ahead before."""
    ahead = event("x", ANN, NOW_MS + AHEAD_MS)
    new = event("y", ANN, NOW_MS + later_ms, log_ts_ms=NOW_MS + later_ms)
    folded = await folded_log(tmp_path, [ahead, erasure(ANN), new])
    assert counted(folded) == 1


async def test_an_erased_event_is_not_remembered(tmp_path: Path) -> None:
    """It never counted, so its id is nobody's."""
    folded = await folded_log(tmp_path, [erasure(ANN), event(1, ANN, NOW_MS - 1)])
    assert folded.totals("applied", "erased", "duplicates") == (0, 1, 0)
    await folded.read([event(1, ANN, NOW_MS + 1)])
    assert counted(folded) == 1


def test_a_round_without_events_takes_nothing() -> None:
    """No partition is asked."""
    empty = np.zeros(0, np.uint64)
    from freshet.core.state.keys import Keys
    from freshet.core.state.records import unpack_users
    from streams.user_fold_rows import EVENT_DTYPE

    screened = Screening(Keys("n")).screen(
        unpack_users([None]), np.zeros(0, EVENT_DTYPE), empty, [], np.zeros(4, np.int64)
    )
    assert len(screened.events) == 0
    assert screened.taken is None
