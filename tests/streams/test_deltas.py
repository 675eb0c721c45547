"""Deltas survive the wire, and a hot item does not make a message that Kafka refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes, partition_of_hash
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE, decode_deltas, encode_deltas
from streams.item_names import ItemNames

Rows = tuple[list[str], np.ndarray, np.ndarray]


def rows_of(events: int, sources: int, items: int, seed: int) -> Rows:
    """Activity of so many events, in the order of a round, and up to two transitions of each."""
    rng = np.random.default_rng(seed)
    activity = np.zeros(events, ACTIVITY_DTYPE)
    activity["source"] = np.sort(rng.integers(0, sources, events))
    activity["offset"] = np.arange(events) + 1000
    ids = [f"item-{n}" for n in rng.integers(0, items, events)]
    chosen = np.sort(rng.integers(0, events, 2 * events)) if events else np.empty(0, np.int64)
    covisits = np.zeros(len(chosen), COVISIT_ROW_DTYPE)
    covisits["source"] = activity["source"][chosen]
    covisits["offset"] = activity["offset"][chosen]
    covisits["previous"] = item_hashes([f"item-{n}" for n in rng.integers(0, items, len(chosen))])
    covisits["next"] = np.arange(len(chosen))
    return ids, activity, covisits


def messages_of(
    ids: list[str], activity: np.ndarray, covisits: np.ndarray, most_bytes: int
) -> list[tuple[int, bytes]]:
    """The messages of a round, over four partitions."""
    names = ItemNames()
    messages = encode_deltas(names, names.numbers(ids), activity, covisits, 4, most_bytes)
    assert (names.places == -1).all()
    return messages


@given(
    st.integers(0, 80), st.integers(1, 3), st.integers(1, 5), st.integers(0, 999),
    st.sampled_from([300, 1000, 10**6]),
)  # fmt: skip
def test_every_row_arrives_once_and_no_source_goes_back(
    events: int, sources: int, items: int, seed: int, most_bytes: int
) -> None:
    """However often messages are cut, an event's rows stay together and the offsets rise."""
    ids, activity, covisits = rows_of(events, sources, items, seed)
    messages = messages_of(ids, activity, covisits, most_bytes)
    found_activity, found_covisits = [], []
    passed: dict[tuple[int, int], int] = {}
    for partition, raw in messages:
        deltas = decode_deltas(raw)
        names = [deltas.item_ids[row] for row in deltas.item_rows()]
        found_activity += list(zip(names, deltas.activity_rows().tolist(), strict=True))
        found_covisits += deltas.covisit_rows().tolist()
        assert set(partition_of_hash(item_hashes(deltas.item_ids), 4).tolist()) <= {partition}
        for rows in (deltas.activity_rows(), deltas.covisit_rows()):
            for source, offset in zip(rows["source"], rows["offset"], strict=True):
                assert offset > passed.get((partition, source), -1)
        for rows in (deltas.activity_rows(), deltas.covisit_rows()):
            for source, offset in zip(
                rows["source"].tolist(), rows["offset"].tolist(), strict=True
            ):
                place = (partition, source)
                passed[place] = max(passed.get(place, -1), offset)
    assert sorted(found_activity) == sorted(zip(ids, activity.tolist(), strict=True))
    assert sorted(found_covisits) == sorted(covisits.tolist())


@pytest.mark.parametrize("most_bytes", [2_000, 20_000])
def test_a_hot_item_is_cut_to_size(most_bytes: int) -> None:
    """All events of a round about one item."""
    ids, activity, covisits = rows_of(1000, 8, 1, seed=0)
    messages = messages_of(ids, activity, covisits, most_bytes)
    assert len(messages) > 1
    assert max(len(raw) for _, raw in messages) <= most_bytes
