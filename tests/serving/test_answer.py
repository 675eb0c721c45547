"""The wire types of an answer, and the tables that explain their words."""

import ast
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import serving
from online_models.features import SOURCES
from serving import answer
from serving.answer import Quality, Query, RankQuery
from serving.stages import BUDGETS


def words_of_table(heading: str) -> list[str]:
    """The first column of a table in the docstring of `serving.answer`."""
    assert answer.__doc__ is not None
    table = re.search(rf"^\| {heading} .*\n\|[-|]+\|\n((?:\|.*\n)+)", answer.__doc__, re.MULTILINE)
    assert table is not None
    return [word for row in table[1].splitlines() for word in row.split("|")[1].strip().split(", ")]


def words_of_code() -> set[str]:
    """What a stage of `serving/` may leave out: its name, and words that are said by hand."""
    found = set()
    for path in Path(serving.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="left_out" | "run"),
                    args=[ast.Constant(value=str(word)), *_],
                ):
                    found.add(word)
                case ast.keyword(arg="word", value=ast.Constant(value=str(word))):
                    found.add(word)
    return found | set(SOURCES[:-1])


def test_the_table_of_what_is_degraded_is_complete() -> None:
    """Every stage that may be left out, every word that is said, and nothing else."""
    table = words_of_table("degraded")
    assert len(table) == len(set(table))
    assert set(table) == words_of_code() | set(BUDGETS)


def test_the_words_of_the_code_are_found() -> None:
    """The twin of the test above: what it looks for, it finds."""
    assert {"user_state", "seen", "filter", "encoder", "past", "rerank"} <= words_of_code()


def test_the_table_of_qualities_is_that_of_the_type() -> None:
    """In the order from the best to the last resort."""
    assert words_of_table("quality") == list(get_args(Quality))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Query, b'{"user": ""}'),
        (Query, b'{"user": "u", "k": 0}'),
        (Query, b'{"user": "u", "k": 101}'),
        (Query, b'{"user": "u", "seed": -1}'),
        (Query, b'{"user": "u", "after": ""}'),
        (Query, b'{"user": "u", "colour": "red"}'),
        (RankQuery, b'{"user": "u", "items": []}'),
        (RankQuery, b'{"user": "u", "items": [""]}'),
    ],
)
def test_what_cannot_be_asked_is_refused(kind: type[msgspec.Struct], body: bytes) -> None:
    """Nobody, no list, too long a list, a seed below zero, a field that is none."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=kind)


def test_a_question_needs_a_user_and_nothing_else() -> None:
    """All else has a default."""
    asked = msgspec.json.decode(b'{"user": "u"}', type=Query)
    assert asked == Query(user="u", k=20, impressions="server")
