"""Names by their times: what a sorted list would say."""

from hypothesis import given
from hypothesis import strategies as st

from streams.oldest_first import OldestFirst

STEPS = st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 5)), max_size=40)


def test_nothing_has_no_oldest() -> None:
    """And discarding what is not in is fine."""
    names = OldestFirst()
    names.discard("a")
    assert (names.oldest(), len(names), "a" in names, names.get("a")) == (None, 0, False, None)


@given(STEPS)
def test_it_is_a_sorted_list(steps: list[tuple[str, int | None]]) -> None:
    """After every step: added, added with another time, discarded."""
    names, slow = OldestFirst(), dict[str, int]()
    for name, ts_ms in steps:
        if ts_ms is None:
            names.discard(name)
            slow.pop(name, None)
        else:
            names.add(name, ts_ms)
            slow[name] = ts_ms
        oldest = min(((at, each) for each, at in slow.items()), default=None)
        assert names.oldest() == oldest
        assert len(names) == len(slow)
        assert [names.get(each) for each in "abcd"] == [slow.get(each) for each in "abcd"]
        assert [each in names for each in "abcd"] == [each in slow for each in "abcd"]
