"""What change streams name, and what fields hold, where some of it is damaged."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from freshet.core.events.codec import encode
from freshet.core.events.schema import Item
from freshet.core.state.records import COVISIT_DTYPE, unpack_items
from serving.change_entries import (
    DamagedEntryError,
    catalogue_items,
    item_records,
    named,
    require_known,
    transitions,
)

_PACK = msgspec.msgpack.encode


def test_each_id_is_named_once_in_the_order_of_the_entries() -> None:
    """An entry without the field names nothing."""
    entries = [{b"items": _PACK(["a", "b"])}, {b"covisits": _PACK([7])}, {b"items": _PACK(["a"])}]
    assert named(entries, b"items") == ["a", "b"]
    assert named(entries, b"covisits") == [7]
    require_known(entries)


@pytest.mark.parametrize("value", [b"", b"\xc1", _PACK("a"), _PACK([1]), _PACK([["a"]])])
def test_a_damaged_entry_is_an_error(value: bytes) -> None:
    """No msgpack, or of something else."""
    with pytest.raises(DamagedEntryError, match="items"):
        named([{b"items": _PACK(["a"])}, {b"items": value}], b"items")


@pytest.mark.parametrize("value", [_PACK([-1]), _PACK([2**32]), _PACK(["a"]), _PACK([0.5])])
def test_a_hash_is_a_number_of_32_bits(value: bytes) -> None:
    """Numpy would refuse or wrap another."""
    with pytest.raises(DamagedEntryError, match="covisits"):
        named([{b"covisits": value}], b"covisits")


def test_an_entry_that_says_nothing_known_is_an_error() -> None:
    """It may have meant anything."""
    with pytest.raises(DamagedEntryError, match="user"):
        require_known([{b"user": _PACK(["a"])}])


def test_damaged_fields_are_left_out() -> None:
    """Of records, transitions and catalogue entries; the others come through."""
    sound = unpack_items([None]).tobytes()
    names, records = item_records("k", ["a", "b", "c"], [sound, b"abc", None])
    assert (names, len(records)) == (["a", "c"], 2)
    row = np.ones(1, COVISIT_DTYPE).tobytes()
    fields = {"7": row, "-7": row, "x": row, str(2**32): row, "8": b"abc", "9": None}
    assert transitions("k", list(fields), list(fields.values())) == {7: row, 9: None}
    item = Item(item_id="a")
    blobs = {"a": encode(item), "b": b"\xff", "c": encode(item)}
    assert catalogue_items("k", blobs) == [item]
