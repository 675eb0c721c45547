"""What lists are like beside being right: how much of the catalogue they show, and how alike.

Lists are (n, k) rows of items, best first, -1 behind the end.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Lists = NDArray[np.int64]

NOTHING: Final = -1  # in place of a row: the list has ended


def exposures(lists: Lists, n_items: int) -> NDArray[np.int64]:
    """Return (n_items,) how many of the lists hold each item.

    >>> exposures(np.array([[0, 2], [2, -1]]), 4).tolist()
    [1, 0, 2, 0]
    """
    return np.bincount(lists[lists != NOTHING], minlength=n_items)


def coverage(counts: NDArray[Any]) -> float:
    """Return the share of items shown at least once (Herlocker et al. 2004).

    Args:
        counts: (n,) exposures of all items that could have been shown.

    >>> coverage(np.array([1, 0, 2, 0]))
    0.5
    """
    return float(np.count_nonzero(counts) / len(counts)) if len(counts) else 0.0


def gini(counts: NDArray[Any]) -> float:
    """Return how unequally items are shown: 0 = all alike, towards 1 = one item takes all.

    Half the mean difference between two items over the mean, from the sorted exposures (Gini
    1912; of recommendations, Fleder and Hosanagar 2009).

    Args:
        counts: (n,) exposures of all items that could have been shown, with those never shown.

    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    ascending, total = np.sort(counts), counts.sum()
    if not total:
        return 0.0
    n = len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * total))


def counts_before(
    items: NDArray[np.int64], times: NDArray[np.int64], lists: Lists, asked_at: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how often each listed item had occurred before its list was asked for.

    Args:
        items: (m,) rows of the items of past and future occurrences.
        times: (m,) when, from 0; any unit that orders them.
        lists: (n, k) rows.
        asked_at: (n,) in the same unit; an occurrence at that time is not yet known.

    Returns:
        (n, k), 0 behind the end of a list.

    >>> counts_before(np.array([7, 7, 8]), np.arange(3), np.array([[7, 8, -1]]), np.array([2]))
    array([[2, 0, 0]])
    """
    span = int(max(times.max(initial=0), asked_at.max(initial=0))) + 1
    keys = np.sort(items * span + times)
    starts = np.searchsorted(keys, lists * span)
    ends = np.searchsorted(keys, lists * span + asked_at[:, None])
    return np.where(lists == NOTHING, 0, ends - starts)


def novelty(lists: Lists, counts: NDArray[np.int64], totals: NDArray[np.int64]) -> float:
    """Return the mean surprise of a listed item, in bits (Zhou et al. 2010).

    -log2 of the item's share of all occurrences up to the request, not up to the end of the log,
    which nobody knew. Both sides count one more, the occurrence that the list asks for, so that
    an item never met is as surprising as the log is long.

    Args:
        lists: (n, k) rows.
        counts: (n, k) occurrences of each item before the request.
        totals: (n,) occurrences of all items before it.

    >>> novelty(np.array([[5, 6, -1]]), np.array([[7, 0, 0]]), np.array([15]))
    2.5
    """
    bits = np.log2(totals[:, None] + 1.0) - np.log2(counts + 1.0)
    return _mean(bits[lists != NOTHING])


def popularity(lists: Lists, counts: NDArray[np.int64]) -> float:
    """Return the mean occurrences of a list's items, over lists (Yin et al. 2012).

    Args:
        lists: (n, k) rows; an empty list says nothing.
        counts: (n, k) occurrences of each item before the request.

    >>> popularity(np.array([[5, 6], [5, -1]]), np.array([[2, 4], [9, 0]]))
    6.0
    """
    listed = lists != NOTHING
    lengths = listed.sum(axis=1)
    sums = np.where(listed, counts, 0).sum(axis=1)
    return _mean(sums[lengths > 0] / lengths[lengths > 0])


def diversity(lists: Lists, content: csr_array) -> float | None:
    """Return 1 - the mean cosine of two items of a list, over lists (Ziegler et al. 2005).

    Items without content are left out of their lists, and lists without a pair are left out.

    Args:
        lists: (n, k) rows.
        content: (n_items, d) sparse; rows of unit norm, or zero for an item without content.

    Returns:
        None where no list has a pair.

    >>> content = csr_array(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    >>> diversity(np.array([[0, 1, 2], [0, 2, -1]]), content)
    1.0
    """
    known = (lists != NOTHING) & (np.diff(content.indptr) > 0)[lists]
    of_list, _ = np.nonzero(known)
    membership = csr_array(
        (np.ones(len(of_list)), (of_list, lists[known])), shape=(len(lists), content.shape[0])
    )
    sizes = known.sum(axis=1)
    # |sum of unit vectors|^2 = their number + twice the cosines of all pairs
    squares = (membership @ content).power(2).sum(axis=1)  # (n,)
    paired = sizes > 1
    cosines = (squares - sizes)[paired] / (sizes * (sizes - 1))[paired]
    return 1 - _mean(cosines) if paired.any() else None


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0
