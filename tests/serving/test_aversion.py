"""What a user is averse to, as categories and as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import PREFERENCE, TYPE_CODES, Item
from online_models.maths.aversion import kinship
from serving.aversion import HALF_LIFE_S, Aversion, Evidence

DAY_S = 86_400.0


def evidence(table: Any, *events: tuple[str, str, float]) -> Evidence:
    """Evidence of (item, type, age in seconds)."""
    return Evidence.of(
        table.rows([item for item, _, _ in events]),
        np.array([TYPE_CODES[kind] for _, kind, _ in events], np.int64),
        np.array([age_s for _, _, age_s in events], np.float32),
    )


def test_evidence_is_weighed_by_type_and_age_and_needs_an_item(table: Any) -> None:
    """A report weighs more than a hide, a skip less; after a half-life each weighs half."""
    found = evidence(
        table,
        ("item-1", "report", 0),
        ("item-2", "hide", HALF_LIFE_S),
        ("unheard of", "hide", 0),
        ("item-3", "skip", 0),
    )
    assert found.rows.tolist() == table.rows(["item-1", "item-2", "item-3"]).tolist()
    assert found.weights.tolist() == pytest.approx([2, 0.5, 0.5])


def test_who_rejected_nothing_is_averse_to_nothing(table: Any, live: Any) -> None:
    """Whatever they like; also in a catalogue without categories."""
    aversion = Aversion.of(table, evidence(table), evidence(table, ("item-1", "click", 0)))
    rows = np.arange(table.size)
    assert not aversion.categories.any()
    assert not aversion.outweighed.any()
    assert not aversion.to_categories(table, rows).any()
    assert not aversion.to_vectors(live.current, rows).any()
    assert not aversion.to_vectors(None, rows).any()


def test_a_category_is_averse_net_of_what_was_accepted_of_it(table: Any) -> None:
    """Two hides in the garden, one of them old; one like in the kitchen beside a hide of it."""
    aversion = Aversion.of(
        table,
        evidence(
            table, ("item-0", "hide", 0), ("item-5", "hide", 2 * HALF_LIFE_S), ("item-1", "hide", 0)
        ),
        evidence(table, ("item-6", "like", 0)),
    )
    garden, kitchen = table.category_codes["garden"], table.category_codes["kitchen"]
    assert aversion.categories[garden] == pytest.approx(1.25)
    assert aversion.categories[kitchen] == pytest.approx(1 / 3)
    assert aversion.categories[-1] == 0
    assert aversion.outweighed[[garden, kitchen]].tolist() == [True, False]
    found = aversion.to_categories(table, table.rows(["item-10", "item-11", "item-2"]))
    assert found.tolist() == pytest.approx([1.25, 1 / 3, 0])


def test_an_item_of_several_categories_shares_its_evidence_among_them(table: Any) -> None:
    """Each gets 1 / sqrt(n), and an item of several is judged by the sum over sqrt(n)."""
    table.offer([Item(item_id="both", categories=["garden", "sport"]), Item(item_id="bare")])
    aversion = Aversion.of(table, evidence(table, ("both", "hide", 0)), evidence(table))
    one = 1 / np.sqrt(2)
    rows = table.rows(["both", "item-0", "bare", "item-1"])
    found = aversion.to_categories(table, rows)
    assert found.tolist() == pytest.approx([2 * one / np.sqrt(2), one, 0, 0])


def test_what_is_near_in_vectors_is_averse_without_any_category(table: Any, live: Any) -> None:
    """As the slow sum says: rejections times their share of all evidence nearby."""
    rejected = [("item-1", "hide", 0.0), ("item-9", "report", DAY_S)]
    accepted = [("item-3", "click", 0.0), ("item-1", "view", 0.0)]
    aversion = Aversion.of(table, evidence(table, *rejected), evidence(table, *accepted))
    rows = np.arange(table.size)
    vectors = live.current.vectors

    def slow(events: list[tuple[str, str, float]], row: int) -> float:
        return sum(
            abs(float(PREFERENCE[TYPE_CODES[kind]]))
            * 2 ** (-age_s / HALF_LIFE_S)
            * float(kinship(vectors[row] @ vectors[table.row(item)]))
            for item, kind, age_s in events
        )

    against = np.array([slow(rejected, row) for row in rows])
    liked = np.array([slow(accepted, row) for row in rows])
    expected = np.where(against > 0, against**2 / np.maximum(against + liked, 1e-9), 0)
    np.testing.assert_allclose(aversion.to_vectors(live.current, rows), expected, atol=1e-4)
    assert expected[table.row("item-9")] > 1
