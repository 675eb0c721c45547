"""What a text names by its path or dotted name is there: modules, files, functions, attributes."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from freshet.core.events.topics import Topics

ROOT = Path(__file__).parents[2]
PACKAGES = ("freshet", "online_models", "replay", "serving", "streams", "benchmarks", "tests")
READ = {".py", ".lua", ".md", ".toml", ".js", ".css", ".html", ".sh", ".yaml", ".yml", ".txt"}
PATH = re.compile(r"(?<![\w./<>{}*$-])((?:[\w.-]+/)*[\w-]+\.(?:py|lua|css|js|md|toml|sh|yaml))\b")
DOTTED = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\(\))?`")
MADE_WHEN_RUNNING = {
    "static/feed.css",  # addresses of the page, from serving/web
    "static/feed.js",
    ".freshet/running.toml",
}
TOPICS = frozenset(Topics("freshet").all())


def listed() -> list[Path]:
    """The text files of the repository, without what tools leave there."""
    skipped = {".venv", ".git", "build", "dist", "__pycache__", ".freshet"}
    return [
        path
        for path in sorted(ROOT.rglob("*"))
        if path.is_file() and path.suffix in READ and not skipped & set(path.parts)
        and not any(part.endswith(("_cache", ".egg-info")) for part in path.parts)
    ]  # fmt: skip


def texts_of(path: Path) -> Iterator[str]:
    """What a person reads in a file: its comments and docstrings, or all of it."""
    text = path.read_text()
    if path.suffix != ".py":
        if path.name == "CHANGELOG.md":  # what was released names what was there then
            text = text.partition("## Unreleased")[2].partition("\n## ")[0]
        yield text
        return
    yield from re.findall(r"#.*$", text, re.MULTILINE)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)  # of an attribute


@cache
def files() -> frozenset[str]:
    """Each file by every end of its path, from its name alone to the whole."""
    names = [path.relative_to(ROOT).parts for path in listed()]
    return frozenset("/".join(parts[at:]) for parts in names for at in range(len(parts)))


@cache
def names_of(path: Path) -> frozenset[str]:
    """What a module defines, at its top and in its classes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name)
            case ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
    return frozenset(found)


def is_there(dotted: str) -> bool:
    """Whether a dotted name leads to a module, or to what a module defines."""
    parts = dotted.split(".")
    at = ROOT
    for depth, part in enumerate(parts):
        if (at / part).is_dir():
            at /= part
            continue
        module = at / f"{part}.py"
        rest = parts[depth + 1 :]
        if not module.exists():
            module, rest = at / "__init__.py", parts[depth:]
        return module.exists() and all(name in names_of(module) for name in rest)
    return True


def test_every_file_that_a_text_names_exists() -> None:
    """In a docstring, a comment, a page: `streams/store.py` as well as `apply.lua`."""
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in listed()
        for text in texts_of(path)
        for name in PATH.findall(text)
        if name.removeprefix("./") not in files() | MADE_WHEN_RUNNING
    }
    assert not missing, sorted(missing)


def test_every_module_that_a_text_names_exists() -> None:
    """`streams.deltas`, and what is named in it: `freshet.core.state.records.segment_of`."""
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in listed()
        for text in texts_of(path)
        for name in DOTTED.findall(text)
        if name not in TOPICS and not is_there(name)
    }
    assert not missing, sorted(missing)


@pytest.mark.parametrize(
    "name", ["streams.no_module", "streams.store.NoClass", "streams.store.X.y"]
)
def test_a_name_of_nothing_is_found(name: str) -> None:
    """The twin of the tests above: what leads nowhere is seen."""
    assert not is_there(name)
    assert is_there("streams.store.RedisStore.apply")
    assert "tests/streams/memory_" + "store.py" not in files()
