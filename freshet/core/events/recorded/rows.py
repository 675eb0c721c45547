"""From a row of a log or of a catalogue to the fields of events and items: pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import xxhash

from freshet.core.events.codec import TOO_LARGE, encode
from freshet.core.events.recorded.times import as_ts_ms
from freshet.core.events.schema import EVENT_TYPES, MAX_EVENT_BYTES, Event, Item

Row = dict[str, Any]

_EVENT_FIELDS: Final = frozenset(Event.__struct_fields__)
_REQUIRED: Final = ("type", "user_id", "item_id", "ts_ms")
_CATEGORY_COLUMNS: Final = ("categories", "category", "genres", "tags")
_IDENTIFIERS: Final = ("user_id", "item_id", "session_id", "event_id", "request_id")
_EVENT_ID_CHARS: Final = 64  # at most, see `Event`
_SURELY_SMALL_BYTES: Final = MAX_EVENT_BYTES // 4  # what is filled in makes a row little larger


def events_of(row: Row, make_id: Callable[[], str], size: int) -> list[Event]:
    """Return the events that a row stands for.

    Args:
        row: may be changed.
        make_id: returns the id of an event without one.
        size: bytes of the row.

    Raises:
        ValidationError: it stands for none; says what was found and expected.
    """
    found = [msgspec.convert(each, Event) for each in _event_rows(row, make_id)]
    _require_size(found, size)
    return found


def item_of(row: Row, size: int) -> Item:
    """Return the catalogue entry in a row.

    Raises:
        ValidationError: it is none; says what was found and expected.
    """
    if "user_id" in row:
        raise msgspec.ValidationError("a row about a user, expected an item of the catalogue")
    row.pop("type", None)
    fields: Row = {}
    if "ts" in row:
        fields["created_ts_ms"] = row.pop("ts")
    for column in ("created_ts_ms", "title", "price", "item_id"):
        if row.get(column) is not None:
            fields[column] = row.pop(column)
    if "created_ts_ms" in fields:
        fields["created_ts_ms"] = as_ts_ms(fields["created_ts_ms"])
    _take_identifiers(row, fields)
    for column in _CATEGORY_COLUMNS:
        found = row.pop(column, None)
        if found:
            fields["categories"] = found if isinstance(found, list) else [found]
            break
    attributes = row.pop("attributes", None)
    if isinstance(attributes, dict):
        row.update(attributes)
    fields["attributes"] = {
        name: value for name, value in row.items() if not isinstance(value, dict | list)
    }
    item = msgspec.convert(fields, Item)
    _require_size([item], size)
    return item


def _event_rows(row: Row, make_id: Callable[[], str]) -> list[Row]:
    """Return the fields of the events that one row stands for."""
    if "arm" in row and "user_id" not in row:
        raise msgspec.ValidationError(
            "a row of a table of experiment arms (no user, no order), expected an event"
        )
    columns = list(row)
    clicked = row.pop("click", None)
    fields = {column: row.pop(column) for column in columns if column in _EVENT_FIELDS}
    if fields.get("event_id") in (None, ""):
        fields["event_id"] = make_id()
    if fields.get("ts_ms") is None and "ts" in row:
        fields["ts_ms"] = row.pop("ts")
    _require_columns(fields, columns)
    fields["ts_ms"] = as_ts_ms(fields["ts_ms"])
    _take_identifiers(row, fields)
    if fields["type"] == "purchase" and fields.get("value") is None:
        price, quantity = row.get("price"), row.get("quantity", 1)
        if isinstance(price, int | float) and isinstance(quantity, int | float):
            fields["value"] = price * quantity
    context = fields.pop("context", None)
    if isinstance(context, dict):
        row.update(context)
    elif context is not None:
        row["context"] = context
    if row:
        fields["context"] = row
    if clicked == 1 and fields["type"] == "impression":
        return [fields, fields | {"event_id": _click_id(fields["event_id"]), "type": "click"}]
    return [fields]


def _click_id(event_id: Any) -> Any:
    """Return the id of the click that a row of an impression stands for; it has room for no more.

    >>> _click_id("e-1"), len(_click_id("f" * 64))
    ('e-1c', 64)
    """
    if not isinstance(event_id, str) or len(event_id) != _EVENT_ID_CHARS:
        return f"{event_id}c"
    digest = xxhash.xxh3_128_hexdigest(event_id.encode("utf-8", "surrogatepass"))
    return f"{event_id[: _EVENT_ID_CHARS - len(digest) - 1]}{digest}c"


def _require_columns(fields: Row, columns: list[str]) -> None:
    """Refuse a row that lacks what an event needs, or has a type that is none."""
    missing = [name for name in _REQUIRED if fields.get(name) is None]
    if missing:
        raise msgspec.ValidationError(
            f"{', '.join(missing)} missing or null; the row has the columns {', '.join(columns)}"
        )
    if fields["type"] not in EVENT_TYPES:
        raise msgspec.ValidationError(
            f"type is {fields['type']!r}, expected one of the enum {', '.join(EVENT_TYPES)}"
        )


def _take_identifiers(row: Row, fields: Row) -> None:
    """Make identifiers strings, and items of a campaign the campaign's own."""
    for column in _IDENTIFIERS:
        value = fields.get(column)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a column of numbers with gaps is one of floats in many tools
        if isinstance(value, int) and not isinstance(value, bool):
            fields[column] = str(value)
    if "campaign" in row and "item_id" in fields:
        fields["item_id"] = f"{row['campaign']}-{fields['item_id']}"


def _require_size(values: list[Event] | list[Item], size: int) -> None:
    """Refuse what no worker would take from Kafka and no server over HTTP."""
    if size <= _SURELY_SMALL_BYTES:
        return
    largest = max(len(encode(value)) for value in values)
    if largest > MAX_EVENT_BYTES:
        raise msgspec.ValidationError(
            f"{TOO_LARGE}: {largest:,} bytes, expected at most {MAX_EVENT_BYTES:,}; keep less in "
            "context or attributes"
        )
