"""One line of shell and Python that turns rows of another shape into a log of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, Final, NamedTuple

from freshet.core.events.recorded.lines import encoding_of
from freshet.core.events.recorded.times import ISO, UNITS, unit_of
from freshet.core.events.schema import EVENT_TYPES

_COLUMNS: Final = {
    "user_id": ("userid", "user", "visitorid", "customerid", "customer", "uid", "memberid",
                "personid", "reviewerid", "clientid"),
    "item_id": ("itemid", "item", "movieid", "movie", "productid", "product", "asin", "sku",
                "articleid", "trackid", "stockcode", "contentid", "iid", "videoid", "bookid",
                "newsid", "songid"),
    "ts_ms": ("tsms", "ts", "timestamp", "time", "timems", "eventtime", "createdat", "datetime",
              "date", "unixtime", "unixtimestamp", "unixreviewtime", "invoicedate", "eventts"),
    "type": ("type", "event", "eventtype", "action", "behavior", "behaviour", "interaction",
             "interactiontype", "behaviortype", "actiontype"),
    "value": ("value", "rating", "stars", "score", "eventvalue", "overall"),
}  # fmt: skip
"""What columns are called elsewhere, in small letters and digits; the first found counts."""

_TYPES: Final = {
    "addtocart": "cart", "atc": "cart", "carted": "cart", "basket": "cart",
    "transaction": "purchase", "buy": "purchase", "order": "purchase", "purchased": "purchase",
    "pv": "view", "pageview": "view", "detailview": "view", "productview": "view",
    "watch": "view", "play": "view", "listen": "view", "read": "view",
    "fav": "like", "favorite": "like", "favourite": "like", "bookmark": "like",
    "rate": "rating", "ratings": "rating", "review": "rating",
}  # fmt: skip
"""Types of other logs that have one of ours."""

_TEXTS_KEPT: Final = ("event_id", "session_id", "request_id")
_OTHERS_KEPT: Final = ("position", "context", "click")
"""Columns that are called as ours are, and stay; the cells of these only where JSON types them."""

_SAFE: Final = re.compile(r"[^\"'`$\\!{}\n]+")


class Source(NamedTuple):
    """Rows of another shape.

    Attributes:
        rows: Python that iterates over them; `{file}` stands for the open file.
        sample: the first of them, by the names of their columns.
        places: number of each column where rows are sequences, None where they are mappings.
        typed: whether the cells are more than texts.
    """

    rows: str
    sample: Sequence[Mapping[str, Any]]
    places: Mapping[str, int] | None = None
    typed: bool = False


class Conversion(NamedTuple):
    """What was understood of the rows.

    Attributes:
        line: for a shell; "" when a column is lacking.
        unit: of the times, "" when unknown.
        lacking: fields for which there is no column.
    """

    line: str
    unit: str
    lacking: list[str]


def conversion(path: Path, target: str, source: Source) -> Conversion:
    """Return how to convert a file.

    >>> rows = [{"userId": "1", "movieId": "2", "rating": "4.0", "timestamp": "964982703"}]
    >>> found = conversion(Path("r.csv"), "r.jsonl", Source("csv.DictReader({file})", rows))
    >>> found.unit, "int(float(r.get('timestamp')) * 1000.0)" in found.line
    ('seconds', True)
    """
    columns = _columns(source.sample)
    sample = source.sample
    unit = unit_of(sample[0].get(columns["ts_ms"])) if sample and "ts_ms" in columns else None
    lacking = [name for name in ("user_id", "item_id", "ts_ms") if name not in columns]
    if unit is None and "ts_ms" not in lacking:
        lacking.append(f"ts_ms ({columns['ts_ms']!r} is no time that is understood)")
    names = [*map(str, columns.values()), str(path)]
    if lacking or unit is None or not all(map(_SAFE.fullmatch, names)):
        return Conversion("", unit or "", lacking)

    def cell(name: str) -> str:
        column = columns[name]
        return f"r.get({source.places[column] if source.places else repr(column)})"

    fields = [
        f"'type': {_type_of(columns, cell, sample)}",
        f"'user_id': {cell('user_id')}",
        f"'item_id': {cell('item_id')}",
        f"'ts_ms': {_time_of(cell('ts_ms'), unit, sample[0][columns['ts_ms']])}",
    ]
    if "value" in columns:
        value = cell("value")
        fields.append(f"'value': float({value}) if {value} not in ('', None) else None")
    fields += _kept(source)
    imports = "import csv, json, gzip; from datetime import datetime, timezone; "
    rows = source.rows.replace("{file}", opened(path))
    if source.places:
        rows = f"(dict(enumerate(c)) for c in {rows})"
    body = f"[print(json.dumps({{{', '.join(fields)}}})) for r in {rows}]"
    return Conversion(f'python3 -c "{imports}{body}" > {quote(target)}', unit, [])


def opened(path: Path) -> str:
    """Return Python that opens a file as it is packed and encoded; "" when no shell can be told.

    >>> opened(Path("a.csv")), opened(Path("what's this.csv"))
    ("open('a.csv', 'rt', encoding='utf-8-sig', errors='backslashreplace')", '')
    """
    if not _SAFE.fullmatch(str(path)):
        return ""
    way = "gzip.open" if path.suffix == ".gz" else "open"
    return f"{way}('{path}', 'rt', encoding='{encoding_of(path)}', errors='backslashreplace')"


def _kept(source: Source) -> list[str]:
    """Return the fields of ours that the rows have beside those that are converted."""
    if source.places:
        return []
    there = {name for row in source.sample for name in row}
    fields = [f"'{name}': r.get('{name}') or None" for name in _TEXTS_KEPT if name in there]
    if source.typed:
        fields += [f"'{name}': r.get('{name}')" for name in _OTHERS_KEPT if name in there]
    return fields


def _columns(sample: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the column of each field that is there."""
    plain = {re.sub(r"[^a-z0-9]", "", str(name).lower()): str(name) for name in (sample or [{}])[0]}
    found = {}
    for field, names in _COLUMNS.items():
        column = next((plain[name] for name in names if name in plain), None)
        if column is not None:
            found[field] = column
    return found


def _type_of(columns: Mapping[str, str], cell: Any, sample: Sequence[Mapping[str, Any]]) -> str:
    if "type" not in columns:
        return "'rating'" if "value" in columns else "'click'"
    values = {str(row.get(columns["type"])) for row in sample}
    if columns["type"] == "type" and values <= set(EVENT_TYPES):
        return str(cell("type"))
    # All types, for the first rows show some of them only.
    table = {word: ours for word, ours in _TYPES.items() if word not in EVENT_TYPES}
    word = f"''.join(c for c in str({cell('type')}).lower() if c.isalpha())"
    return f"{table!r}.get({word}, {word})"


def _time_of(cell: str, unit: str, sample: Any) -> str:
    if unit == ISO:
        zone = (
            ""
            if re.search(r"(Z|[+-]\d\d:?\d\d)$", str(sample).strip())
            else ".replace(tzinfo=timezone.utc)"
        )
        return f"{cell} and round(datetime.fromisoformat({cell}){zone}.timestamp() * 1000)"
    if unit == "milliseconds":
        return f"{cell} and int(float({cell}))"
    return f"{cell} and int(float({cell}) * {UNITS[unit]})"
