"""Ids, hashes, vectors and index that are not of one another; the manifest fits all of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.wrong_bundles.case import N_ITEMS, Case, reseal
from freshet.core.events.partition import item_hashes
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.item_index import build_graph
from online_models.artifacts.manifest import HASHES, INDEX, ITEM_IDS, VECTORS

Array = NDArray[Any]


def cases() -> Iterator[Case]:
    """Yield wrong ids, hashes, vectors and indices."""
    for name, ids, words in (
        ("permuted", lambda ids: ids[::-1], "are not of the same items"),
        ("two exchanged", lambda ids: [ids[1], ids[0], *ids[2:]], "2 of 600 rows differ"),
        ("one twice", lambda ids: [ids[0], ids[0], *ids[2:]], "599 different"),
        ("one empty", lambda ids: ["", *ids[1:]], "holds what is no item id"),
        ("one too long", lambda ids: ["x" * 129, *ids[1:]], "holds what is no item id"),
        ("one too few", lambda ids: ids[1:], "has 599 ids, expected 600"),
        ("numbers", lambda ids: list(range(len(ids))), "is no list of ids"),
        ("an object", lambda ids: dict.fromkeys(ids, 1), "is no list of ids"),
        ("of others", lambda ids: [f"other-{each}" for each in ids], "are not of the same items"),
    ):
        yield Case(f"ids {name}", _ids(ids), words)
    yield Case("ids nested deep", _write(ITEM_IDS, b"[" * 50_000), "is no list of ids")
    yield Case("ids no text", _write(ITEM_IDS, b'["\xff"]'), "is no list of ids")
    yield Case("ids and hashes of others", _other_items, "are not in item_ids.json")
    for name, hashes, words in (
        ("reversed", lambda rows: rows[::-1], "not in ascending order"),
        ("shifted by one", lambda rows: rows + 1, "are not of the same items"),
        ("signed", lambda rows: rows.astype(np.int32), "is .* int32, expected"),
        ("of 64 bits", lambda rows: rows.astype(np.uint64), "is .* uint64, expected"),
        ("one too many", lambda rows: np.append(rows, rows[-1]), r"is \(601,\)"),
    ):
        yield Case(f"hashes {name}", _array(HASHES, hashes), words)
    yield from _vectors()
    yield from _index()


def _vectors() -> Iterator[Case]:
    for name, change, words in (
        ("permuted", lambda rows: rows[::-1], "other vectors|recorded with other items"),
        ("of one, NaN", lambda rows: _with_row(rows, np.nan), "not of unit length"),
        ("of one, infinite", lambda rows: _with_row(rows, np.inf), "not of unit length"),
        ("of one, zero", lambda rows: _with_row(rows, 0), "not of unit length"),
        ("too long", lambda rows: 2 * rows, "not of unit length"),
        ("float64", lambda rows: rows.astype(np.float64), "float64, expected"),
        ("float16", lambda rows: rows.astype(np.float16), "float16, expected"),
        ("int64", lambda rows: rows.astype(np.int64), "int64, expected"),
        ("big-endian", lambda rows: rows.astype(">f4"), ">f4, expected"),
        ("by columns", np.asfortranarray, "by columns"),
        ("of 32 dimensions", lambda rows: rows[:, :32], r"is \(600, 32\)"),
        ("flat", lambda rows: rows.reshape(-1), r"is \(38400,\)"),
        ("one too few", lambda rows: rows[1:], r"is \(599, 64\)"),
        ("objects", lambda rows: np.array([None] * len(rows)), "cannot be read"),
    ):
        yield Case(f"vectors {name}", _array(VECTORS, change), words)
    for name, shape in {
        "of 10^12 rows": (10**12, EMBEDDING_DIM),
        "of negative rows": (-N_ITEMS, -EMBEDDING_DIM),
        "of rows without end": (10**40, EMBEDDING_DIM),
    }.items():
        claimed = {"descr": "<f4", "fortran_order": False, "shape": shape}
        yield Case(f"vectors {name}", _write(VECTORS, _npy(repr(claimed))), r"vectors\.npy is")
    for name, header in {"nested deep": "(" * 5000, "a call": "exec('1')", "none": ""}.items():
        yield Case(f"vectors with a header {name}", _write(VECTORS, _npy(header)), "cannot be read")
    yield Case("vectors and index permuted", _vectors_and_index, "recorded with other items")


def _index() -> Iterator[Case]:
    yield Case("index of other vectors", _index_over(lambda rows: -rows), "over other vectors")
    yield Case("index permuted", _index_over(lambda rows: rows[::-1]), "over other vectors")
    yield Case("index too short", _index_over(lambda rows: rows[1:]), "holds 599 items")
    yield Case("index of text", _write(INDEX, b"no index" * 100), "does not load", in_child=True)
    yield Case("index empty", _write(INDEX, b""), "does not load", in_child=True)
    for start in (0, 24, 100):
        yield Case(f"index of ones from byte {start}", _ones(start), "", in_child=True)


def _ids(change: Callable[[list[str]], Any]) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        ids = msgspec.json.decode((folder / ITEM_IDS).read_bytes())
        (folder / ITEM_IDS).write_bytes(msgspec.json.encode(change(ids)))
        reseal(folder)

    return damage


def _array(name: str, change: Callable[[Array], Array]) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        np.save(folder / name, change(np.load(folder / name)), allow_pickle=True)
        reseal(folder)

    return damage


def _write(name: str, content: bytes) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        (folder / name).write_bytes(content)
        reseal(folder)

    return damage


def _npy(header: str) -> bytes:
    """Return an array file with a header of our own and no data."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"


def _with_row(rows: Array, value: float) -> Array:
    rows[3] = value
    return rows


def _other_items(folder: Path, _: Path) -> None:
    """Ids and hashes of as many other items, in order: they fit each other, and no vector."""
    ids = np.array([f"stranger-{n}" for n in range(N_ITEMS)])
    ids = ids[np.argsort(item_hashes(ids.tolist()))]
    (folder / ITEM_IDS).write_bytes(msgspec.json.encode(ids.tolist()))
    np.save(folder / HASHES, item_hashes(ids.tolist()))
    reseal(folder)


def _vectors_and_index(folder: Path, _: Path) -> None:
    """Each item gets the vector of another one, and the index fits."""
    vectors = np.load(folder / VECTORS)[::-1].copy()
    np.save(folder / VECTORS, vectors)
    build_graph(folder / INDEX, vectors, threads=1)
    reseal(folder)


def _index_over(change: Callable[[Array], Array]) -> Callable[[Path, Path], None]:
    def damage(folder: Path, _: Path) -> None:
        build_graph(folder / INDEX, change(np.load(folder / VECTORS)), threads=1)
        reseal(folder)

    return damage


def _ones(start: int) -> Callable[[Path, Path], None]:
    """Return a damage that leads the reader of the index astray: it may end the process."""

    def damage(folder: Path, _: Path) -> None:
        content = bytearray((folder / INDEX).read_bytes())
        content[start:] = b"\xff" * (len(content) - start)
        (folder / INDEX).write_bytes(content)
        reseal(folder)

    return damage
