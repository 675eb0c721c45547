"""State is written by one script: every other command that writes to Redis is named here."""

import ast
from pathlib import Path

import pytest

WRITES = {
    "append", "copy", "decr", "decrby", "del", "delete", "eval", "evalsha", "expire", "expireat",
    "fcall", "flushall", "flushdb", "function_load", "getdel", "getset", "hdel", "hexpire",
    "hincrby", "hincrbyfloat", "hmset", "hset", "hsetnx", "incr", "incrby", "incrbyfloat",
    "lpush", "lset", "ltrim", "mset", "persist", "pexpire", "psetex", "register_script", "rename",
    "restore", "rpush", "sadd", "script_load", "set", "setex", "setnx", "setrange", "spop", "srem",
    "swapdb", "unlink", "xack", "xadd", "xdel", "xgroup_create", "xtrim", "zadd", "zincrby", "zrem",
}  # fmt: skip
OF_OTHERS = {
    "append",
    "copy",
    "delete",
    "eval",
    "expire",
    "persist",
    "rename",
    "restore",
    "set",
    "unlink",
}
"""Methods of lists, events, paths and models too: only on what is named as a client."""
CLIENTS = {"client", "redis", "cluster", "pipeline", "pipe"}

ALLOWED = {
    ("streams/store.py", "register_script"),  # the script, its hash
    ("streams/store.py", "script_load"),  # and the script again, when Redis has forgotten it
    ("streams/store.py", "evalsha"),
    ("streams/worker.py", "hsetnx"),  # ns:meta, when an installation starts for the first time
    ("replay/chaos/plan.py", "flushall"),  # the name of a fault,
    ("replay/chaos/victims.py", "flushall"),  # a fault that is put in, on a Redis of its own
}


def path_of(node: ast.expr) -> list[str]:
    """Return the names in a receiver: of `self._client.pipeline()`, self, client and pipeline."""
    match node:
        case ast.Attribute(attr=name, value=of):
            return [*path_of(of), name.strip("_")]
        case ast.Call(func=of):
            return path_of(of)
        case ast.Name(id=name):
            return [name]
    return []


def writes_of(source: str) -> set[str]:
    """The commands in a source that write to Redis."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name, value=of)) if name in WRITES:
                if name not in OF_OTHERS or set(path_of(of)) & CLIENTS:
                    found.add(name)
            case ast.Constant(value=str(word)) if word.isupper() and word.lower() in WRITES - {
                "delete"
            }:
                found.add(word.lower())
    return found


def test_nothing_else_writes_to_redis(root: Path) -> None:
    """In no package; who adds a command says here why it is no change of state."""
    found = {
        (str(path.relative_to(root)), command)
        for package in ("freshet", "online_models", "replay", "serving", "streams")
        for path in (root / package).rglob("*.py")
        for command in writes_of(path.read_text())
    }
    assert found == ALLOWED


def test_one_script_writes(root: Path) -> None:
    """There is no other Lua."""
    assert [path.name for path in (root / "streams").rglob("*.lua")] == ["apply.lua"]


@pytest.mark.parametrize(
    ("source", "commands"),
    [
        ("await client.hsetnx(key, name, value)", {"hsetnx"}),
        ("self._client.delete(key)", {"delete"}),
        ("client.pipeline().set(key, 1)", {"set"}),
        ('pipeline.execute_command("HSET", key, 1)', {"hset"}),
        ("route('DELETE')", set()),  # a method of HTTP; in Redis it is called DEL
        ("event.set(); paths.append(1); client.get(key)", set()),
    ],
)
def test_a_command_that_writes_is_seen(source: str, commands: set[str]) -> None:
    """The twin of the test above, with what only looks like one."""
    assert writes_of(source) == commands
