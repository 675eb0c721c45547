"""What must not be shown: the filters, each alone and all together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from freshet.core.errors import RequestError, ServiceError
from serving.answer import Query
from serving.filters import asked_for, keep, unseen, wanted
from serving.moment import State, hydrate
from serving.profile import meet
from serving.sources.gather import gather


def with_settings(state: State, **changes: Any) -> State:
    settings = msgspec.structs.replace(state.settings, **changes)
    return replace(state, settings=settings)


async def kept(state: State, query: Query) -> tuple[list[str], list[str]]:
    """Return the ids that are kept, and what was degraded."""
    moment = await hydrate(state, query.user, None)
    union = keep(moment, gather(moment, query), query)
    return [state.items.table.ids[row] for row in union.rows], moment.stages.degraded


async def test_seen_and_unwanted_are_two_filters(table: Any, users: Any) -> None:
    """A click is seen, a hide is both, an item that nobody has heard of is neither."""
    for item_id, kind in (("item-1", "click"), ("item-2", "hide"), ("unheard of", "hide")):
        users.act("ann", item_id, kind=kind)
    profile = meet(await users.get("ann"), table, None)
    rows = table.rows(["item-1", "item-2", "item-3"])
    assert unseen(table, rows, profile).tolist() == [False, False, True]
    assert wanted(table, rows, profile).tolist() == [True, False, True]


async def test_a_newcomer_wants_everything(table: Any, users: Any) -> None:
    """Of no rows, too."""
    profile = meet(await users.get("nobody"), table, None)
    assert wanted(table, np.arange(3), profile).all()
    assert wanted(table, np.empty(0, np.int64), profile).tolist() == []


@pytest.mark.parametrize("kind", ["hide", "dislike", "report"])
@pytest.mark.parametrize("hide_seen", [True, False])
async def test_a_rejected_item_is_hidden_whatever_is_said_of_seen_ones(
    state: State, users: Any, kind: str, hide_seen: bool
) -> None:
    """`hide_seen` off brings back what was clicked, and nothing that was rejected."""
    users.act("ann", "item-0", kind=kind)
    users.act("ann", "item-1")
    found, degraded = await kept(with_settings(state, hide_seen=hide_seen), Query(user="ann"))
    assert "item-0" not in found
    assert ("item-1" in found) == (not hide_seen)
    assert degraded == []


async def test_a_rejected_item_stays_hidden_behind_any_number_of_other_events(
    state: State, users: Any
) -> None:
    """It leaves the history after 50 interactions; it does not come back as one of the past."""
    users.act("ann", "item-70")
    users.act("ann", "item-70", kind="hide")
    for number in range(150):
        users.act("ann", f"item-{number % 20}")
    moment = await hydrate(state, "ann", None)
    row = state.items.table.row("item-70")
    assert row not in moment.profile.rows
    assert row not in moment.profile.past.rows
    assert row not in moment.profile.past.sequence
    assert "item-70" not in (await kept(state, Query(user="ann")))[0]


async def test_a_rejection_holds_until_it_is_taken_back_or_expires(
    state: State, users: Any
) -> None:
    """In event time; 0 = for ever."""
    day_s = 86_400
    users.act("ann", "item-0", kind="hide", ts_ms=state.items.table.now_ms - 10 * day_s * 1000)
    users.act("bob", "item-0", kind="hide")
    users.act("bob", "item-0", kind="like")
    shown = {"hide_seen": False}
    for ttl_s, hidden in ((11 * day_s, True), (9 * day_s, False), (0, True)):
        limited = with_settings(state, unwanted_ttl_s=ttl_s, **shown)
        assert ("item-0" not in (await kept(limited, Query(user="ann")))[0]) == hidden
    assert "item-0" in (await kept(with_settings(state, **shown), Query(user="bob")))[0]


async def test_seen_items_are_a_last_resort_and_rejected_ones_are_none(
    state: State, users: Any
) -> None:
    """Of five items three were rejected and two were seen: the two come back, and it is said."""
    state.items.table.withdraw([f"item-{number}" for number in range(5, 80)])
    for number in range(3):
        users.act("ann", f"item-{number}", kind="hide")
    for number in (3, 4):
        users.act("ann", f"item-{number}")
    found, degraded = await kept(state, Query(user="ann"))
    assert sorted(found) == ["item-3", "item-4"]
    assert degraded == ["seen"]


@pytest.mark.parametrize("hide_seen", [True, False])
async def test_where_all_was_rejected_there_is_no_list_and_no_empty_one(
    state: State, users: Any, hide_seen: bool
) -> None:
    """The sentence says what takes a rejection back."""
    state.items.table.withdraw([f"item-{number}" for number in range(5, 80)])
    for number in range(5):
        users.act("ann", f"item-{number}", kind="dislike")
    with pytest.raises(RequestError, match="rejected every item") as caught:
        await kept(with_settings(state, hide_seen=hide_seen), Query(user="ann"))
    assert caught.value.status == 422


async def test_rejected_items_make_way_for_others(state: State, users: Any) -> None:
    """As many candidates as there are rejections would else leave a list short, or empty."""
    for number in range(30):
        users.act("ann", f"item-{number}", kind="hide")
    for query in (Query(user="ann"), Query(user="ann", categories=["garden"])):
        found, _ = await kept(with_settings(state, candidates=10), query)
        assert len(found) == 10
        assert not set(found) & {f"item-{number}" for number in range(30)}


async def test_a_broken_seen_filter_lets_nothing_rejected_through(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails open, by itself."""

    def broken(*_: object) -> Any:
        raise RuntimeError("broken on purpose")

    users.act("ann", "item-0", kind="hide")
    users.act("ann", "item-1")
    monkeypatch.setattr("serving.filters.unseen", broken)
    found, degraded = await kept(state, Query(user="ann"))
    assert "item-1" in found
    assert "item-0" not in found
    assert degraded == ["filter"]


async def test_the_requests_own_filters(table: Any) -> None:
    """Excluded items, and those of other categories."""
    rows = table.rows(["item-0", "item-1", "item-5"])
    everything = Query(user="ann")
    assert asked_for(table, rows, everything).tolist() == [True, True, True]
    some = Query(user="ann", exclude=["item-5", "unheard of"], categories=["garden"])
    assert asked_for(table, rows, some).tolist() == [True, False, False]


async def test_an_empty_catalogue_is_nobodys_rejection(state: State) -> None:
    """A sentence of its own."""
    state.items.table.withdraw(list(state.items.table.ids))
    with pytest.raises(ServiceError, match="offers no items"):
        await kept(state, Query(user="ann"))
