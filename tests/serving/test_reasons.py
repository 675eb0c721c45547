"""Reasons are words for people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import Item
from online_models.features import SOURCES
from serving.moment import hydrate
from serving.reasons import BARELY_SHOWN, reasons
from serving.sources.found import Found, fuse


async def _reason(state: Any, source: str, item: str, because: str = "", *, explored: bool) -> str:
    """Return the reason of one item that one source found for ann."""
    table = state.items.table
    moment = await hydrate(state, "ann", None)
    rows = table.rows([item])
    found = Found.of(rows, np.ones(1, np.float32), table.rows([because or "none"]))
    chosen = fuse([found if name == source else Found.nothing() for name in SOURCES])
    (words,) = reasons(moment, chosen, chosen.best_source(), np.array([explored]))
    return words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("trending", "trending now"),
        ("popular", "popular now"),
        ("new", "new in kitchen"),
        ("covisitation", "often next after river amber 10"),
        ("transitions", "often next after river amber 10"),
        ("neighbours", "people like you looked at this too"),
        ("past", "you came to this before"),
        ("similar", "close to river amber 10"),
        ("category", "popular in kitchen"),
        ("session", "because you bought river north 20"),
    ],
)
async def test_each_source_has_its_words(state: Any, users: Any, source: str, words: str) -> None:
    """With the title of the item that led there."""
    users.act("ann", "item-20", kind="purchase")
    assert await _reason(state, source, "item-1", "item-10", explored=False) == words


async def test_without_a_title_the_words_are_general(state: Any, users: Any) -> None:
    """The catalogue may not know the item that led there any more."""
    state.items.table.offer([Item(item_id="bare")])
    users.act("ann", "bare")
    assert "what you looked at" in await _reason(state, "session", "item-1", explored=False)
    for source in ("covisitation", "transitions"):
        assert await _reason(state, source, "item-1", explored=False) == "often next for others"
    words = await _reason(state, "similar", "item-1", explored=False)
    assert words == "close to what you looked at"


@pytest.mark.parametrize("kind", ["hide", "dislike", "report", "skip"])
async def test_who_only_rejected_has_looked_at_nothing(state: Any, users: Any, kind: str) -> None:
    """What a session of rejections leads to is close to none of them."""
    users.act("ann", "item-10", kind=kind)
    assert await _reason(state, "session", "item-1", explored=False) == "picked for you"


async def test_no_source_is_without_words(state: Any) -> None:
    """Also for an item that has neither title nor category."""
    state.items.table.offer([Item(item_id="bare")])
    words = [await _reason(state, source, "bare", explored=False) for source in SOURCES]
    assert all(words)
    assert words[SOURCES.index("new")] == "new"
    assert words[SOURCES.index("category")] == "popular now"


async def test_the_category_that_is_named_is_the_one_acted_on_most(state: Any, users: Any) -> None:
    """Of those that the item has, whatever their order."""
    for item_id in ("item-2", "item-7", "item-1"):  # travel, travel, kitchen
        users.act("ann", item_id)
    state.items.table.offer([Item(item_id="both", categories=["sport", "kitchen", "travel"])])
    assert await _reason(state, "category", "both", explored=False) == "popular in travel"


async def test_exploration_says_so(state: Any) -> None:
    """And says when few have seen the item."""
    row = state.items.table.row("item-1")
    state.items.table.impressions[row] = BARELY_SHOWN
    assert await _reason(state, "popular", "item-1", explored=True) == "exploring"
    state.items.table.impressions[row] = 0
    assert "few have seen" in await _reason(state, "popular", "item-1", explored=True)


async def test_a_long_title_is_cut(state: Any, users: Any) -> None:
    """A reason stays on one line."""
    state.items.table.offer([Item(item_id="item-2", title="word " * 60)])
    users.act("ann", "item-2")
    words = await _reason(state, "session", "item-1", explored=False)
    assert words.endswith("…")
    assert len(words) < 90


@pytest.mark.parametrize("kind", ["hide", "dislike", "report"])
async def test_a_category_that_was_rejected_is_not_named(state: Any, users: Any, kind: str) -> None:
    """Another one of the item is; without another, none."""
    users.act("ann", "item-1", kind=kind)  # of the kitchen
    state.items.table.offer(
        [
            Item(item_id="both", categories=["kitchen", "travel"]),
            Item(item_id="only", categories=["kitchen"]),
        ]
    )
    for source, words in (("category", "popular in travel"), ("new", "new in travel")):
        assert await _reason(state, source, "both", explored=False) == words
    for source, words in (("category", "popular now"), ("new", "new")):
        assert await _reason(state, source, "only", explored=False) == words


async def test_a_category_is_named_again_when_liked_items_outweigh_the_rejected(
    state: Any, users: Any
) -> None:
    """One hide beside one click: not yet. Beside two: again."""
    users.act("ann", "item-1", kind="hide")
    users.act("ann", "item-6")
    assert await _reason(state, "category", "item-11", explored=False) == "popular now"
    users.act("ann", "item-16")
    assert await _reason(state, "category", "item-11", explored=False) == "popular in kitchen"


@pytest.mark.parametrize("kind", ["hide", "dislike", "report"])
async def test_an_item_that_was_rejected_is_no_reason(state: Any, users: Any, kind: str) -> None:
    """Neither as the nearest visit, though it was bought before, nor as what led there."""
    users.act("ann", "item-20", kind="purchase")
    users.act("ann", "item-20", kind=kind)
    expected = {
        "session": "close to what you looked at",
        "similar": "close to what you looked at",
        "covisitation": "often next for others",
        "transitions": "often next for others",
    }
    for source, words in expected.items():
        assert await _reason(state, source, "item-21", "item-20", explored=False) == words


async def test_an_item_that_the_client_ranks_though_it_was_rejected_says_so(
    state: Any, users: Any
) -> None:
    """Whichever source found it."""
    users.act("ann", "item-1", kind="hide")
    for source in SOURCES:
        words = await _reason(state, source, "item-1", "item-10", explored=False)
        assert words == "you said that this is not for you"
