"""Names: of a log, of the catalogue beside it, and of an event that has none.

Law: rows that differ, in content, line or name of the file, never have the same made id; a file
always gives the same, compressed or not and in whatever folder it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import xxhash

_ENDINGS: Final = (".gz", ".jsonl", ".ndjson", ".json", ".events")
_NAME_CHARS: Final = 24


def log_name(path: Path) -> str:
    """Return the name of a log: the file's, without what says how it is written.

    >>> log_name(Path("/data/films.events.jsonl.gz")), log_name(Path("events.2025-11-24.jsonl"))
    ('films', 'events.2025-11-24')
    """
    name = path.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending) or name
    return name


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of logs; those of equal names have their folders in front.

    >>> distinct_names([Path("a/log.jsonl"), Path("b/log.jsonl"), Path("c/films.jsonl")])
    ['a/log', 'b/log', 'films']
    """
    names = [log_name(path) for path in paths]
    wide = [str(path.parent / name) for path, name in zip(paths, names, strict=True)]
    return [
        name if names.count(name) == 1 else longer for name, longer in zip(names, wide, strict=True)
    ]


def made_event_id(path: Path, line: int, raw: bytes) -> str:
    """Return the id of an event that has none.

    It holds a hash of the row and of the file's name. So the rows of daily files differ whatever
    the files are called, a log keeps its ids when rows are appended to it, and a packed copy has
    the ids of the plain one.

    Args:
        path: the log; its folder and `.gz` do not count.
        line: where the row is in the file, from 1.
        raw: the row, without white space around it.

    >>> made_event_id(Path("a/films.jsonl.gz"), 7, b"{}")
    'films:7:21d4e3984ab8'
    """
    name = path.name.removesuffix(".gz")
    digest = xxhash.xxh3_64_hexdigest(name.encode() + b"\0" + raw)
    return f"{log_name(path)[:_NAME_CHARS]}:{line}:{digest[:12]}"


def items_file_of(path: Path | str) -> Path | None:
    """Return the catalogue beside a log, `X.items.*` for `X.events.*`, if there is one.

    Of daily logs, `events.DAY.jsonl`, it may be the one `events.items.*` of them all.

    >>> items_file_of("/nowhere/films.events.jsonl") is None
    True
    """
    path = Path(path)
    stems = dict.fromkeys((log_name(path), path.name.split(".")[0]))
    candidates = [
        path.with_name(f"{stem}.items{end}") for stem in stems for end in (".jsonl.gz", ".jsonl")
    ]
    if ".events." in path.name:  # films.events.DAY.jsonl has films.items.DAY.jsonl
        candidates.insert(0, path.with_name(path.name.replace(".events.", ".items.")))
    return next((file for file in candidates if file != path and file.exists()), None)
