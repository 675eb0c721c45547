"""What module docstrings claim of whole packages, held against every module of them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("freshet", "online_models", "replay", "serving", "streams")
OURS = {*PACKAGES, "benchmarks"}
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
CHANCE = {"uuid.uuid4", "secrets.token_hex", "secrets.token_bytes", "random.random"}
MAKES_CHANCE = {
    "freshet/commands/worker.py": "the name of a worker in its group",
    "freshet/embedded/kafka_layout.py": "the id of a new cluster",
    "serving/server.py": "the composition root of a server",
}
MAKES_CLIENTS = {
    "freshet/core/state/client.py": "the one place",
    "freshet/commands/check_state.py": "of the server that it started",
    "freshet/embedded/redis.py": "of the server that it is",
    "freshet/embedded/redis_cluster.py": "of the nodes that it is",
    "replay/chaos/victims.py": "of the server that it started",
}
CLIENT_CLASSES = {"Redis", "RedisCluster", "StrictRedis"}


def modules(root: Path, folder: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules below a folder, by their paths."""
    for path in sorted((root / folder).rglob("*.py")):
        yield str(path.relative_to(root)), ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names of all that is imported, also within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """All calls, each by the words of what is called: `np.random.default_rng`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def is_clock(name: str) -> bool:
    """Whether a call reads the wall clock."""
    return any(name == clock or name.endswith("." + clock) for clock in CLOCKS)


def is_chance(name: str, call: ast.Call) -> bool:
    """Whether a call draws what no seed repeats."""
    if name.endswith("default_rng"):
        return not call.args and not call.keywords
    return name in CHANCE


def is_client(name: str) -> bool:
    """Whether a call makes a client of Redis."""
    *path, last = name.split(".")
    return last in CLIENT_CLASSES or (last == "from_url" and bool(CLIENT_CLASSES & set(path)))


def test_the_maths_know_numbers_alone(root: Path) -> None:
    """numpy, scipy and the standard library."""
    found = {
        (path, name)
        for path, tree in modules(root, "online_models/maths")
        for name in imports(tree)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "numpy", "scipy"}
        and not name.startswith("online_models.maths")
    }
    assert not found


def test_only_training_knows_torch(root: Path) -> None:
    """But for the command that follows the stream, which bounds its threads."""
    found = {
        path
        for package in PACKAGES
        for path, tree in modules(root, package)
        if "torch" in {name.split(".")[0] for name in imports(tree)}
        and not path.startswith("online_models/training/")
    }
    assert found == {"freshet/commands/follow.py"}


def test_a_source_knows_no_other(root: Path) -> None:
    """What they share is what they find; one module asks them all."""
    shared = {"serving.sources.found", "serving.sources"}
    found = {
        (path, name)
        for path, tree in modules(root, "serving/sources")
        for name in imports(tree)
        if name.startswith("serving.sources") and name not in shared
    }
    assert {path for path, _ in found} == {"serving/sources/gather.py"}


def test_the_wall_clock_is_read_in_one_place(root: Path) -> None:
    """Elsewhere the time is an argument."""
    found = {
        path
        for package in PACKAGES
        for path, tree in modules(root, package)
        if any(is_clock(name) for name, _ in calls(tree))
    }
    assert found == {"freshet/core/clock.py"}


def test_chance_is_an_argument(root: Path) -> None:
    """Generators and names that no seed repeats are made where a process is composed."""
    found = {
        path
        for package in PACKAGES
        for path, tree in modules(root, package)
        if any(is_chance(name, call) for name, call in calls(tree)) or "uuid.uuid4" in _names(tree)
    }
    assert found == set(MAKES_CHANCE)


def test_clients_of_the_state_are_made_in_one_place(root: Path) -> None:
    """Who started a server may ask it; all others take what the settings name, also a cluster."""
    found = {
        path
        for package in PACKAGES
        for path, tree in modules(root, package)
        if any(is_client(name) for name, _ in calls(tree))
    }
    assert found == set(MAKES_CLIENTS)


def test_playing_a_log_knows_the_services_by_their_addresses(root: Path) -> None:
    """The part of the judge that drives the left edge reaches into no fold and no funnel."""
    driving = [*modules(root, "replay/targets")] + [
        (name, ast.parse((root / name).read_text()))
        for name in ("replay/pacing.py", "replay/play.py", "replay/timeline.py", "replay/probe.py",
                     "replay/feed_client.py")
    ]  # fmt: skip
    found = {
        (path, name)
        for path, tree in driving
        for name in imports(tree)
        if name.split(".")[0] in {"streams", "serving", "online_models"}
        and name != "serving.answer"  # the types of the wire
    }
    assert not found


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("time.time()", True),
        ("datetime.datetime.now(UTC)", True),
        ("np.random.default_rng()", True),
        ("uuid.uuid4()", True),
        ("redis.asyncio.Redis.from_url(url)", True),
        ("redis.Redis(host='x')", True),
        ("np.random.default_rng(seed)", False),
        ("time.monotonic()", False),
        ("datetime.fromtimestamp(0, UTC)", False),
        ("Image.from_url(url)", False),
    ],
)
def test_what_is_looked_for_is_seen(source: str, is_one: bool) -> None:
    """The twin of the tests above."""
    ((name, call),) = calls(ast.parse(source))
    assert (is_clock(name) or is_chance(name, call) or is_client(name)) is is_one


def _names(tree: ast.AST) -> set[str]:
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
