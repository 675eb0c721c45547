"""What entries of change streams name, and what fields of item HASHes hold, as far as readable.

Law: a damaged entry may have named anyone and anything, so its follower does as after a gap; a
damaged field costs its item alone, which keeps what is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from freshet.core.errors import EventError
from freshet.core.events.codec import decode_item
from freshet.core.events.schema import Item
from freshet.core.state.readable import readable_covisits, readable_items, report_unreadable
from freshet.core.state.records import Records

Entry = dict[bytes, bytes]

_IDS: Final = msgspec.msgpack.Decoder(list[str])
_HASHES: Final = msgspec.msgpack.Decoder(list[Annotated[int, Meta(ge=0, le=2**32 - 1)]])
_DECODERS: Final[dict[bytes, msgspec.msgpack.Decoder[Any]]] = {
    b"users": _IDS,
    b"erased": _IDS,
    b"items": _IDS,
    b"catalog": _IDS,
    b"covisits": _HASHES,
}


class DamagedEntryError(Exception):
    """An entry of a change stream that cannot be read."""


def named(entries: Iterable[Entry], field: bytes) -> list[Any]:
    """Return the ids that the entries name in one field, each once.

    Raises:
        DamagedEntryError: one of them cannot be read.
    """
    decode = _DECODERS[field].decode
    found: dict[Any, None] = {}
    for entry in entries:
        if field in entry:
            try:
                found.update(dict.fromkeys(decode(entry[field])))
            except msgspec.DecodeError as error:
                raise DamagedEntryError(f"{field.decode()}: {error}") from error
    return list(found)


def require_known(entries: Iterable[Entry]) -> None:
    """Check that each entry says something that a follower knows.

    Raises:
        DamagedEntryError: one does not.
    """
    for entry in entries:
        if not entry.keys() & _DECODERS.keys():
            raise DamagedEntryError(f"has the fields {sorted(entry)}")


def item_records(
    key: str, names: Sequence[str], blobs: Sequence[bytes | None]
) -> tuple[list[str], Records]:
    """Return the names and (n,) records of those items whose records can be read."""
    records, faults = readable_items(blobs)
    if not faults:
        return list(names), records
    for at in faults:
        report_unreadable("items", key, names[at])
    sound = sorted(set(range(len(names))) - set(faults))
    return [names[at] for at in sound], records[sound]


def transitions(
    key: str, names: Sequence[str], blobs: Sequence[bytes | None]
) -> dict[int, bytes | None]:
    """Return packed transitions by the hash of their item, those that can be read."""
    packed, faults = readable_covisits(blobs)
    damaged = {*faults, *(at for at, name in enumerate(names) if not _is_hash(name))}
    for at in sorted(damaged):
        report_unreadable("covisits", key, names[at])
    return {
        int(name): blob
        for at, (name, blob) in enumerate(zip(names, packed, strict=True))
        if at not in damaged
    }


def catalogue_items(key: str, fields: Mapping[str, bytes]) -> list[Item]:
    """Return the catalogue entries that can be read."""
    items = []
    for name, blob in fields.items():
        try:
            item = decode_item(blob)
        except EventError as error:
            report_unreadable("catalog", key, name, str(error))
            continue
        if item.item_id == name:
            items.append(item)
        else:
            report_unreadable("catalog", key, name, f"it is of {item.item_id!r}")
    return items


def _is_hash(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= 10 and int(name) < 2**32
