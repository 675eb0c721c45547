"""A check compares a thing with something else: never with itself."""

import ast
import doctest
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

EQUALITIES = {
    "array_equal", "assert_allclose", "assert_array_equal", "assert_equal", "allclose", "isclose",
}  # fmt: skip


def sources_of(path: Path) -> Iterator[str]:
    """A module, and each example in its docstrings."""
    text = path.read_text()
    yield text
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
            yield from (textwrap.dedent(example.source) for example in found)


def with_themselves(source: str) -> list[str]:
    """The comparisons of a source whose two sides are the same words."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[*sides]) if (
                name in EQUALITIES
            ):
                sides = sides[:2]
            case _:
                continue
        if any(map(_same, sides, sides[1:])):
            found.append(ast.unparse(node))
    return found


def _same(one: ast.expr, other: ast.expr) -> bool:
    return type(one) is type(other) and ast.dump(one) == ast.dump(other)


def test_nothing_is_compared_with_itself(root: Path) -> None:
    """Neither in an assertion nor in an example: it would be true of any code."""
    packages = ("freshet", "online_models", "replay", "serving", "streams", "benchmarks", "tests")
    found = [
        f"{path.relative_to(root)}: {comparison}"
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
        for source in sources_of(path)
        for comparison in with_themselves(source)
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "assert f(1) == f(1)",
        "a < b == b",
        "np.testing.assert_array_equal(x.y, x.y)",
        "x[0] is x[0]",
    ],
)
def test_a_comparison_of_a_thing_with_itself_is_seen(source: str) -> None:
    """The twin of the test above."""
    assert with_themselves(source)


@pytest.mark.parametrize("source", ["f(1) == f(2)", "assert_equal(a, b, b)", "a == b == a"])
def test_other_comparisons_are_fine(source: str) -> None:
    """Sides that are not neighbours, and messages, may be what they like."""
    assert not with_themselves(source)
