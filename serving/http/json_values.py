"""JSON that strangers send: what is sound of it, and where and how the rest is not.

Law: one bad element of a list never costs its neighbours. What msgspec reads is taken as it is;
only what it refuses is looked at again, slowly, to say at which pointer (RFC 6901) what is wrong.

Stricter than msgspec in one thing: a key that an object holds twice is a fault, because two readers
would take two different values for it (RFC 8259, section 4).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:"]', re.DOTALL)
_CLOSES: Final = {b"]": b"[", b"}": b"{"}
_BOM: Final = b"\xef\xbb\xbf"
_SPACED_COLONS: Final = (b" :", b"\t:", b"\n:", b"\r:")


class JsonError(Exception):
    """A value that is not JSON.

    Attributes:
        pointer: to the place, "" for the value as a whole.
        detail: what was found, and what was expected.
    """

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SplitList:
    """The elements of a list, undecoded.

    Attributes:
        pointer: to the list: "" for the body itself, "/events" within an object.
    """

    pointer: str
    elements: list[bytes]


def read_value(raw: bytes) -> Any:
    """Return a JSON value.

    Raises:
        JsonError: it is none.

    >>> read_value(b'{"q": ["tea", 3]}')
    {'q': ['tea', 3]}
    >>> try: read_value(b'{"q": ["tea", NaN]}')
    ... except JsonError as error: (error.pointer, error.detail)
    ('/q/1', 'NaN is no JSON number; leave the field out')
    """
    raw = raw.removeprefix(_BOM)
    try:
        value = msgspec.json.decode(raw)
    except UNREADABLE as error:
        raise _fault(raw) or JsonError("", str(error)) from error
    if _may_repeat_keys(raw, value) and (fault := _fault(raw)) is not None:
        raise fault
    return value


def split_list(raw: bytes, key: str) -> SplitList | None:
    """Return the elements of a list, whatever stands in them.

    Brackets and commas outside of texts are all that is looked at.

    Args:
        raw: a list, or an object that holds one.
        key: name of the list in the object.

    Returns:
        None when it is neither.

    Raises:
        JsonError: the list cannot be split into elements.

    >>> split_list(b'[{"a": NaN}, 1e400, "x,y"]', "events").elements
    [b'{"a": NaN}', b'1e400', b'"x,y"']
    >>> split_list(b'{"events": [1], "sent": 3}', "events").pointer
    '/events'
    >>> split_list(b'{"a": [1]}', "events") is None
    True
    """
    return _Splitter(raw.removeprefix(_BOM), key).split()


class _Splitter:
    """Walks over the brackets of a value."""

    def __init__(self, raw: bytes, key: str) -> None:
        self._raw = raw
        self._key = json.dumps(key).encode()
        self._name = key
        self._open: list[bytes] = []
        self._elements: list[bytes] | None = None
        self._pointer = ""
        self._depth = 0  # of the list's elements, 0 while outside of the list
        self._begin = 0

    def split(self) -> SplitList | None:
        text, key, end = b"", b"", 0
        for token in _TOKEN.finditer(self._raw):
            mark, at = token[0], token.start()
            if self._raw[:at].strip() if not end else not self._open:
                break  # something stands before or behind the value
            end = token.end()
            if mark in b"[{":
                self._enter(mark, end, key if text == b":" else b"")
            elif mark in b"]}":
                self._leave(mark, at)
            elif mark == b"," and len(self._open) == self._depth:
                self._take(at, end)
            elif mark == b":" and len(self._open) == 1:
                key = text
            elif mark == b'"':
                raise self._ends('the text that begins there to end with "', at)
            text = mark
        if self._open:
            raise self._ends("]" if self._open[-1] == b"[" else "}", len(self._raw))
        if self._elements is None:
            return None
        if rest := self._raw[end:].strip():
            at = self._raw.index(rest, end)
            raise JsonError("", f"the list ends at byte {end}, but more stands at byte {at}")
        if len(self._elements) == 1 and not self._elements[0]:
            self._elements.clear()
        return SplitList(self._pointer, self._elements)

    def _enter(self, mark: bytes, end: int, key: bytes) -> None:
        nested = self._open == [b"{"] and key == self._key
        self._open.append(mark)
        if mark == b"[" and (len(self._open) == 1 or nested):
            if self._elements is not None:
                raise JsonError(f"/{self._name}", f"the key {self._name!r} stands twice")
            self._pointer = f"/{self._name}" if nested else ""
            self._elements, self._depth, self._begin = [], len(self._open), end

    def _leave(self, mark: bytes, at: int) -> None:
        if not self._open or self._open[-1] != _CLOSES[mark]:
            expected = {b"[": "]", b"{": "}"}[self._open[-1]] if self._open else "the end"
            detail = f"found {mark.decode()} at byte {at}{self._where()}, expected {expected}"
            raise JsonError(self._place(), detail)
        if len(self._open) == self._depth:
            self._take(at, at)
            self._depth = 0
        self._open.pop()

    def _take(self, at: int, end: int) -> None:
        if self._elements is not None and self._depth:
            self._elements.append(self._raw[self._begin : at].strip())
            self._begin = end

    def _place(self) -> str:
        """Return the element that is being read; before the first is whole, the body as such."""
        return f"{self._pointer}/{len(self._elements)}" if self._elements and self._depth else ""

    def _where(self) -> str:
        return f" in element {len(self._elements or ())}" if self._depth else ""

    def _ends(self, expected: str, at: int) -> JsonError:
        detail = (
            f"the body ends after {len(self._raw)} bytes{self._where()}, at byte {at} expected "
        )
        return JsonError(self._place(), f"{detail}{expected}; was it cut off?")


class _Constant:
    """NaN, Infinity or -Infinity, which Python's own reader takes for numbers."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Repeating(dict[str, Any]):
    """An object that holds a key twice."""

    key: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    repeating = _Repeating(plain)
    seen: set[str] = set()
    repeating.key = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return repeating


def _may_repeat_keys(raw: bytes, value: Any) -> bool:
    """Return whether an object may hold a key twice; cheap, and never wrong with False.

    Without white space before a colon every key ends with `":`, so that there are at least as many
    of these as there are keys.
    """
    if any(pair in raw for pair in _SPACED_COLONS):
        return True
    return raw.count(b'":') != _n_keys(value)


def _n_keys(value: Any) -> int:
    """Return how many keys all objects in a value have; plain loops, as every event comes by."""
    count, waiting = 0, [value]
    for each in waiting:
        if type(each) is dict:
            count += len(each)
            inner: Iterable[Any] = each.values()
        elif type(each) is list:
            inner = each
        else:
            continue
        for below in inner:
            kind = type(below)
            if kind is dict or kind is list:
                waiting.append(below)
    return count


def _fault(raw: bytes) -> JsonError | None:
    """Return the first thing in a value that JSON does not allow, None when there is none."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        value = json.loads(text, parse_constant=_Constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode("utf-8", "surrogateescape"))
        what = f"{error.msg[:1].lower()}{error.msg[1:]}".removesuffix(" at")
        return JsonError("", f"{what} at byte {at} of {len(raw)}")
    except RecursionError:
        return JsonError("", "nested deeper than this server reads")
    except ValueError:  # Python's bound on the digits of a whole number
        return JsonError("", "a number has more digits than this server reads")
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        pointer, each = waiting.pop()
        if detail := _wrong(each):
            if isinstance(each, _Repeating):
                pointer = f"{pointer}/{escape(each.key)}"
            return JsonError(pointer, detail)
        inner = each.items() if isinstance(each, dict) else ()
        if isinstance(each, list):
            inner = enumerate(each)  # type: ignore[assignment]
        waiting += reversed([(f"{pointer}/{escape(str(name))}", below) for name, below in inner])
    return None


def _wrong(value: Any) -> str:
    """Return what is wrong with a value itself, "" when nothing is."""
    if isinstance(value, _Constant):
        return f"{value.name} is no JSON number; leave the field out"
    if isinstance(value, float) and not math.isfinite(value):
        return "the number is beyond what 64 bits hold; leave the field out"
    if isinstance(value, _Repeating):
        return f"the key {_printable(value.key)!r} stands twice"
    texts = value if isinstance(value, dict) else [value] if isinstance(value, str) else ()
    if any(not _is_unicode(text) for text in texts):
        return "expected text in UTF-8, found bytes or half of a surrogate pair that are none"
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def escape(step: str) -> str:
    """Return one step of a JSON pointer.

    >>> escape("a/b~c")
    'a~1b~0c'
    """
    return _printable(step).replace("~", "~0").replace("/", "~1")
