"""Titles: readable, one for each item."""

import numpy as np

from replay.titles import ADJECTIVES, CATEGORIES, NOUNS, collection_name, make_titles


def test_no_items_no_titles() -> None:
    """The empty catalogue."""
    assert make_titles([], np.random.default_rng(1)) == []


def test_no_two_titles_are_alike_even_when_the_words_run_out() -> None:
    """Then they become sequels."""
    combinations = len(ADJECTIVES) * len(NOUNS[CATEGORIES[0]])
    titles = make_titles([0] * (combinations + 2), np.random.default_rng(1))
    assert len(set(titles)) == len(titles)
    assert titles[-1] == f"{titles[1]} 2"


def test_no_two_collections_are_named_alike() -> None:
    """However many there are."""
    names = [collection_name(c, n) for c in range(len(CATEGORIES)) for n in range(100)]
    assert len(set(names)) == len(names)


def test_every_category_has_as_many_words() -> None:
    """Which the numbering relies on."""
    assert len({len(nouns) for nouns in NOUNS.values()}) == 1
    assert all(len(set(nouns)) == len(nouns) for nouns in NOUNS.values())
