"""Reading JSON that strangers send: what is sound is kept, what is not is named by its place."""

from __future__ import annotations

import json
import random

import pytest

from serving.http.json_values import JsonError, read_value, split_list


@pytest.mark.parametrize(
    ("raw", "pointer", "words"),
    [
        (b"", "", "byte 0"),
        (b'{"a": ', "", "byte 6"),
        (b'{"a": NaN}', "/a", "NaN"),
        (b'{"a": {"b/c": [1, -Infinity]}}', "/a/b~1c/1", "-Infinity"),
        (b'{"a": 1e400}', "/a", "64 bits"),
        (b'{"a": "tea \\ud83c"}', "/a", "surrogate"),
        (b'{"\\udfff": 1}', "", "surrogate"),
        (b'{"a": "\xff"}', "/a", "UTF-8"),
        (b'{"a": 1, "a": 2}', "/a", "twice"),
        (b'{"x": {"a"\t: 1, "a" :2}}', "/x/a", "twice"),
        (b'{"a": "x\ny"}', "", "control character"),
        (b"[" * 100_000, "", "nested"),
        (b"1" * 5000, "", "digits"),
        (b"[1] 2", "", "byte 4"),
    ],
)
def test_what_is_no_json_is_named_by_its_pointer(raw: bytes, pointer: str, words: str) -> None:
    """And by what was found there."""
    with pytest.raises(JsonError) as caught:
        read_value(raw)
    assert caught.value.pointer == pointer
    assert words in caught.value.detail


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": "says \\"hi\\": yes", "b": " : "}',
        b'{"a": {"a": [{"a": 1}, {"a": 2}]}}',
        b'{"a" : 1, "b":2}',
        b'"\\ud83c\\udf75"',
        b"null",
    ],
)
def test_keys_that_only_look_repeated_are_read(raw: bytes) -> None:
    """The cheap test for repeated keys may be wrong; the exact one decides."""
    assert read_value(raw) == json.loads(raw)


def test_a_byte_order_mark_is_passed_over() -> None:
    """Some clients of Windows send one."""
    assert read_value(b"\xef\xbb\xbf[1]") == [1]


@pytest.mark.parametrize(
    ("raw", "elements"),
    [
        (b"[]", []),
        (b" [ ] ", []),
        (b"[1]", [b"1"]),
        (b"[1,,2]", [b"1", b"", b"2"]),
        (b'[{"a": NaN}, [1, [2]], "x],", "\\"", 1e400]',
         [b'{"a": NaN}', b"[1, [2]]", b'"x],"', b'"\\""', b"1e400"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [b"%s", b'{"sent": NaN, "events": %s, "x": {"events": [7]}}'])
def test_a_list_is_split_whatever_stands_in_it(
    raw: bytes, elements: list[bytes], wrap: bytes
) -> None:
    """Bare, or in an object."""
    split = split_list(wrap.replace(b"%s", raw), "events")
    assert split is not None
    assert split.elements == elements
    assert split.pointer == ("" if wrap == b"%s" else "/events")


@pytest.mark.parametrize("raw", [b"", b"x", b"x[1]", b'"[1]"', b'{"events": "[1]"}', b"{}", b"NaN"])
def test_what_holds_no_list_is_not_split(raw: bytes) -> None:
    """It is read as a single value then."""
    assert split_list(raw, "events") is None


@pytest.mark.parametrize(
    ("raw", "pointer", "words"),
    [
        (b'[{"a": 1}, {"a"', "/1", ("15 bytes", "element 1", "}")),
        (b'{"events": [{"a": 1}, {"a": "x}]}', "/events/1", ("element 1", "byte 28", '"')),
        (b"[1, 2", "/1", ("element 1", "]")),
        (b"[[[", "", ("element 0",)),
        (b'[{"a": 1], 2]', "", ("found ]", "byte 8", "expected }")),
        (b"[1, 2}", "/1", ("found }", "element 1", "expected ]")),
        (b"[1] x", "", ("byte 3", "byte 4")),
        (b'{"events": [1], "events": [2]}', "/events", ("twice",)),
        (b'{"events": [1]', "", ("expected }",)),
    ],
)
def test_a_list_that_cannot_be_split_says_where_it_ends(
    raw: bytes, pointer: str, words: tuple[str, ...]
) -> None:
    """The byte, the element, and what was expected."""
    with pytest.raises(JsonError) as caught:
        split_list(raw, "events")
    assert caught.value.pointer == pointer
    for word in words:
        assert word in caught.value.detail


def test_splitting_agrees_with_a_reader_on_random_values() -> None:
    """The slow twin: Python's reader, element by element."""
    rng = random.Random(7)

    def value(depth: int) -> object:
        kind = rng.randrange(6 if depth else 4)
        if kind == 4:
            return [value(depth - 1) for _ in range(rng.randrange(4))]
        if kind == 5:
            return {rng.choice('ab",]'): value(depth - 1) for _ in range(rng.randrange(3))}
        return [rng.random(), None, "".join(rng.choices('a"\\[]{},: \u20ac', k=5)), 17][kind]

    for _ in range(300):
        values = [value(3) for _ in range(rng.randrange(6))]
        raw = json.dumps(values, ensure_ascii=rng.random() < 0.5).encode()
        split = split_list(raw, "events")
        assert split is not None
        assert [json.loads(each) for each in split.elements] == values
        assert read_value(raw) == values
