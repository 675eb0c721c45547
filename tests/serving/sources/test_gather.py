"""All sources asked at once: quotas, newcomers, and what is hidden whoever found it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from freshet.core.events.partition import item_hashes
from freshet.core.state.records import HISTORY_LENGTH
from online_models.features import SOURCES
from online_models.sources import QUOTAS
from serving.answer import Query
from serving.filters import keep
from serving.moment import State, hydrate
from serving.sources.gather import gather

QUERY = Query(user="ann")


@pytest.fixture
def walked(state: State, users: Any, covisits: Any) -> State:
    """Ann has walked where everyone walks, and then through four categories, and stayed."""
    table = state.items.table
    for number in range(80):
        users.act("ann", f"item-{number}")
    everyone = covisits(*[f"item-{number}" for number in range(80)])
    for item_id in ("item-1", "item-2", "item-3", "item-4"):
        table.put_covisits(item_hashes([item_id]).tolist(), [everyone])
        users.act("ann", item_id)
    for _ in range(HISTORY_LENGTH - 4):
        users.act("ann", "item-4")
    for number in range(80):  # some walk with her, each to another item
        users.act(f"user-{number}", "item-1")
        users.act(f"user-{number}", f"item-{number}")
    state.sessions.put(list(users.records), np.array(list(users.records.values())))
    table.created_ts_ms[: table.size] = table.now_ms - 1000  # all are new
    table.rates[: table.size, 1] *= 50  # and rise
    table.version += 1
    state.items.refresh()
    return state


def with_candidates(state: State, candidates: int) -> State:
    settings = msgspec.structs.replace(state.settings, candidates=candidates)
    return replace(state, settings=settings)


async def test_every_source_finds_what_it_may_and_no_more(walked: State) -> None:
    """The quota of each, of 20 candidates and of 5."""
    for candidates in (20, 5):
        found = gather(await hydrate(with_candidates(walked, candidates), "ann", None), QUERY)
        quotas = [max(1, int(share * candidates)) for share in QUOTAS.values()]
        assert [len(one.rows) for one in found] == quotas
        for one in found:
            assert len(set(one.rows.tolist())) == len(one.rows)
            assert sorted(one.scores, reverse=True) == one.scores.tolist()


async def test_a_newcomer_is_found_what_is_good_for_everyone(walked: State) -> None:
    """Nothing that needs a history."""
    found = gather(await hydrate(walked, "nobody", None), Query(user="nobody"))
    by_source = dict(zip(SOURCES, found, strict=True))
    assert {name for name, one in by_source.items() if len(one.rows)} == {
        "trending",
        "new",
        "popular",
    }


async def test_what_was_seen_or_withdrawn_is_hidden_whoever_found_it(walked: State) -> None:
    """Every source finds some of both; none of them is a candidate."""
    withdrawn = [f"item-{number}" for number in range(0, 80, 3)]
    moment = await hydrate(walked, "ann", None)
    found = gather(moment, QUERY)
    walked.items.table.withdraw(withdrawn)  # the standings do not know of it yet
    gone = set(walked.items.table.rows(withdrawn).tolist())
    for name, one in zip(SOURCES, found, strict=True):
        assert gone & set(one.rows.tolist()), name
    seen = set(moment.profile.rows.tolist())
    assert len(seen) == 4
    union = keep(moment, found, QUERY)
    assert set(union.rows.tolist()).isdisjoint(gone | seen)
    assert (union.ranks >= 0).any(axis=0).all()
