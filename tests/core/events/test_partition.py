"""The partition function agrees with Java's and aiokafka's."""

import aiokafka.partitioner
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.partition import (
    item_hashes,
    murmur2,
    murmur2_many,
    partition_of,
    partition_of_hash,
)

# From Kafka's UtilsTest.testMurmur2, as signed 32-bit numbers.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def test_murmur2_is_java_s() -> None:
    """The values that Kafka's own test lists."""
    for key, expected in JAVA.items():
        assert murmur2(key) == expected % 2**32


@given(st.lists(st.binary(max_size=70), max_size=40))
def test_many_hashes_are_aiokafka_s(keys: list[bytes]) -> None:
    """Hashing many keys at once gives what aiokafka computes one by one."""
    expected = [aiokafka.partitioner.murmur2(key) % 2**32 for key in keys]
    assert murmur2_many(keys).tolist() == expected


@given(st.text(min_size=1, max_size=40), st.integers(1, 64))
def test_partition_is_that_of_the_default_partitioner(key: str, partitions: int) -> None:
    """A producer with the Java default and we choose the same partition."""
    numbers = list(range(partitions))
    theirs = aiokafka.partitioner.DefaultPartitioner()(key.encode(), numbers, numbers)
    assert partition_of(key, partitions) == theirs
    assert partition_of_hash(item_hashes([key]), partitions).tolist() == [theirs]


def test_no_keys_give_no_hashes() -> None:
    """The empty batch."""
    assert murmur2_many([]).dtype == np.uint32
    assert len(murmur2_many([])) == 0
