"""Values of many fields in one string of bytes, as they travel to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple


class Packed(NamedTuple):
    """Values one behind the other: `lengths[j]` bytes each.

    >>> Packed.of([b"ab", b"", b"c"])
    Packed(joined=b'abc', lengths=[2, 0, 1])
    """

    joined: bytes = b""
    lengths: Sequence[int] = ()

    @classmethod
    def of(cls, values: Sequence[bytes]) -> Packed:
        """Return values packed."""
        return cls(b"".join(values), list(map(len, values)))

    def values(self) -> list[bytes]:
        """Return the values, each by itself.

        >>> Packed(b"abc", [2, 0, 1]).values()
        [b'ab', b'', b'c']
        """
        ends = list(accumulate(self.lengths))
        return [
            self.joined[end - length : end] for end, length in zip(ends, self.lengths, strict=True)
        ]

    def split(self, counts: Sequence[int]) -> list[Packed]:
        """Return the values in groups of so many, which are all of them.

        >>> [each.joined for each in Packed(b"abc", [1, 0, 2]).split([2, 1])]
        [b'a', b'bc']
        """
        groups, at, first = [], 0, 0
        for count in counts:
            lengths = self.lengths[first : first + count]
            end = at + sum(lengths)
            groups.append(Packed(self.joined[at:end], lengths))
            at, first = end, first + count
        return groups


NOTHING = Packed()
