"""A user met with a bundle: the vectors of the history, the session, the encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import CLICK, EVENT_TYPES, INTERACTION, PREFERENCE, TYPE_CODES
from freshet.core.state.records import HISTORY_LENGTH
from serving.profile import (
    encoded_vector,
    history_categories,
    meet,
    session_vector,
)
from serving.user_state import UserState, cold_user

NOW_MS = 1_763_800_000_000
HALF_LIFE_S = 1_800.0


async def test_a_cold_user_points_nowhere(table: Any, live: Any) -> None:
    """Zero vectors, no history, no idle time."""
    profile = meet(cold_user(), table, live.current)
    assert len(profile.rows) == 0
    assert not encoded_vector(profile, live.current).any()
    assert not session_vector(profile, live.current, HALF_LIFE_S).any()
    assert not profile.last_vector.any()
    assert profile.idle_s == 0
    assert history_categories(profile, table).tolist() == []
    assert profile.taste.tolist() == [0] * (len(table.category_codes) + 1)


async def test_taste_is_the_share_of_each_category_the_newer_the_more(
    table: Any, users: Any
) -> None:
    """The j-th newest weighs 1 / sqrt(j), also behind one that nobody has heard of; unit norm."""
    for item_id in ("item-1", "item-0", "unheard of", "item-5"):  # kitchen, garden, ?, garden
        users.act("ann", item_id)
    taste = meet(await users.get("ann"), table, None).taste
    garden, kitchen = 1 + 1 / np.sqrt(3), 1 / np.sqrt(4)
    expected = np.zeros(len(table.category_codes) + 1)
    expected[table.category_codes["garden"]] = garden / np.hypot(garden, kitchen)
    expected[table.category_codes["kitchen"]] = kitchen / np.hypot(garden, kitchen)
    np.testing.assert_allclose(taste, expected, atol=1e-6)


async def test_the_history_is_newest_first_with_its_vectors(
    table: Any, live: Any, users: Any
) -> None:
    """An item that nobody has heard of has no row and no vector."""
    users.act("ann", "item-3", ts_ms=NOW_MS - 60_000)
    users.act("ann", "unheard of", ts_ms=NOW_MS - 30_000)
    profile = meet(await users.get("ann"), table, live.current)
    assert profile.rows.tolist() == [-1, table.row("item-3")]
    assert profile.known.tolist() == [False, True]
    assert profile.ages_s.tolist() == [30.0, 60.0]
    assert profile.types.tolist() == [CLICK, CLICK]
    assert profile.idle_s == 30.0
    assert profile.last_vector.tolist() == live.current.vectors[table.row("item-3")].tolist()


async def test_the_session_is_the_decayed_mean_of_the_last_items(
    table: Any, live: Any, users: Any
) -> None:
    """As the slow sum says, unit norm; a disliked item pushes away."""
    acts = [("item-1", "click", 0), ("item-2", "like", 600), ("item-3", "dislike", 1_800)]
    for item_id, kind, age_s in reversed(acts):
        users.act("ann", item_id, kind=kind, ts_ms=NOW_MS - age_s * 1000)
    profile = meet(await users.get("ann"), table, live.current)
    slow = sum(
        2 ** (-age_s / HALF_LIFE_S)
        * PREFERENCE[profile.types[number]]
        * live.current.vectors[table.row(item_id)]
        for number, (item_id, _, age_s) in enumerate(acts)
    )
    slow /= np.linalg.norm(slow)
    found = session_vector(profile, live.current, HALF_LIFE_S)
    np.testing.assert_allclose(found, slow, atol=1e-3)  # times are kept within 0.4 %


async def test_the_stored_session_is_taken_if_this_bundle_made_it(
    table: Any, live: Any, users: Any
) -> None:
    """Another bundle's speaks another language."""
    users.act("ann", "item-1")
    record = (await users.get("ann")).record
    record["embedding"] = 127 * np.eye(64, dtype=np.int8)[5]
    record["model_tag"] = live.current.bundle.tag
    profile = meet(UserState(record), table, live.current)
    assert session_vector(profile, live.current, HALF_LIFE_S)[5] == 1
    record["model_tag"] = live.current.bundle.tag ^ 1
    assert session_vector(profile, live.current, HALF_LIFE_S)[5] != 1


async def test_the_encoder_sees_known_items_only(table: Any, live: Any, users: Any) -> None:
    """An unknown item between two known ones changes nothing."""
    for item_id in ("item-1", "item-2"):
        users.act("ann", item_id)
    for item_id in ("item-1", "unheard of", "item-2"):
        users.act("bob", item_id)
    ann, bob = [
        encoded_vector(meet(await users.get(user), table, live.current), live.current)
        for user in ("ann", "bob")
    ]
    np.testing.assert_allclose(ann, bob, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ann), 1, atol=1e-5)


REJECTS = ("hide", "dislike", "report")


@pytest.mark.parametrize("kind", [*REJECTS, "skip"])
async def test_what_speaks_against_an_item_leads_nowhere(
    table: Any, live: Any, users: Any, kind: str
) -> None:
    """No taste, no last item, no category, no visit, nothing for the encoder."""
    for number in range(6):
        users.act("ann", f"item-{5 * number}", kind=kind)
    profile = meet(await users.get("ann"), table, live.current)
    assert not profile.taste.any()
    assert profile.last_liked == -1
    assert not profile.last_vector.any()
    assert history_categories(profile, table).tolist() == []
    assert profile.last_visits(5) == []
    assert profile.liked_rows.tolist() == []
    assert not encoded_vector(profile, live.current).any()
    assert profile.aversion.categories[table.category_codes["garden"]] > 0
    assert (len(profile.unwanted) == 6) == (kind != "skip")


@pytest.mark.parametrize("kind", [name for name in EVENT_TYPES if PREFERENCE[TYPE_CODES[name]] > 0])
async def test_what_speaks_for_an_item_counts_as_a_click_does(
    table: Any, live: Any, users: Any, kind: str
) -> None:
    """For taste and for the last item; every interaction speaks for or against its item."""
    assert (PREFERENCE[INTERACTION] != 0).all()
    users.act("ann", "item-3", kind=kind)
    users.act("bob", "item-3")
    ann, bob = [meet(await users.get(name), table, live.current) for name in ("ann", "bob")]
    assert ann.taste.tolist() == bob.taste.tolist()
    assert ann.last_vector.tolist() == bob.last_vector.tolist()
    assert not len(ann.unwanted)


async def test_the_rest_of_a_history_is_as_it_was_without_the_rejections(
    table: Any, live: Any, users: Any
) -> None:
    """Three clicks in the kitchen, between them hides in the garden."""
    for number in (1, 6, 11):
        users.act("bob", f"item-{number}")
        users.act("ann", f"item-{number}")
        users.act("ann", f"item-{number - 1}", kind="hide")
    ann, bob = [meet(await users.get(name), table, live.current) for name in ("ann", "bob")]
    assert ann.last_visits(5) == bob.last_visits(5)
    assert ann.last_vector.tolist() == bob.last_vector.tolist()
    assert ann.liked_rows.tolist() == bob.liked_rows.tolist()
    assert ann.taste.argmax() == bob.taste.argmax() == table.category_codes["kitchen"]
    np.testing.assert_allclose(
        encoded_vector(ann, live.current), encoded_vector(bob, live.current), atol=1e-6
    )


@pytest.mark.parametrize("kind", REJECTS)
async def test_an_item_that_was_visited_and_then_rejected_leads_nowhere(
    table: Any, live: Any, users: Any, kind: str
) -> None:
    """Nor does a dwell or a click after it: only what takes the rejection back does."""
    users.act("ann", "item-5", kind="cart")
    users.act("ann", "item-5", kind=kind)
    users.act("ann", "item-5", kind="dwell")
    users.act("ann", "item-5", kind="click")
    profile = meet(await users.get("ann"), table, live.current)
    assert profile.last_visits(5) == []
    assert not profile.taste.any()
    assert not profile.last_vector.any()
    assert not encoded_vector(profile, live.current).any()
    direction = session_vector(profile, live.current, HALF_LIFE_S)
    assert direction @ live.current.vectors[table.row("item-5")] == pytest.approx(-1, abs=1e-3)
    users.act("ann", "item-5", kind="like")
    profile = meet(await users.get("ann"), table, live.current)
    assert profile.last_visits(5) == [table.row("item-5")]
    assert profile.taste.any()
    assert not len(profile.unwanted)


async def test_a_stored_session_that_does_not_know_of_a_rejection_is_made_again(
    table: Any, live: Any, users: Any
) -> None:
    """What the fold stored counts the cart before the hide."""
    users.act("ann", "item-5", kind="cart")
    users.act("ann", "item-5", kind="hide")
    state = await users.get("ann")
    state.record["embedding"] = 127 * np.eye(64, dtype=np.int8)[5]
    state.record["model_tag"] = live.current.bundle.tag
    found = session_vector(meet(state, table, live.current), live.current, HALF_LIFE_S)
    np.testing.assert_allclose(found, -live.current.vectors[table.row("item-5")], atol=1e-5)


async def test_a_rejection_outlives_the_history_and_cleans_the_past(table: Any, users: Any) -> None:
    """Its visit before the history seeds nothing and is not offered again."""
    for item_id in ("item-1", "item-2", "item-1"):
        users.act("ann", item_id)
    users.act("ann", "item-1", kind="hide")
    for number in range(2 * HISTORY_LENGTH):
        users.act("ann", f"item-{10 + number % 3}")
    profile = meet(await users.get("ann"), table, None)
    assert profile.unwanted.tolist() == [table.row("item-1")]
    assert table.row("item-1") not in profile.past.sequence
    assert table.row("item-2") in profile.past.rows


async def test_an_item_that_no_catalogue_knows_may_be_rejected(table: Any, users: Any) -> None:
    """It has no row, hides nothing and is no evidence."""
    users.act("ann", "unheard of", kind="hide")
    profile = meet(await users.get("ann"), table, None)
    assert profile.unwanted.tolist() == [-1]
    assert not profile.aversion.categories.any()
    assert not profile.aversion.outweighed.any()
