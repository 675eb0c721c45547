"""Item content as numbers: words, categories and attributes hashed into one fixed bag.

Law: the encoding needs no vocabulary, so an item that was created a second ago is encoded like
any other, and it is written once, for the trainer and for everyone who embeds a new item.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from freshet.core.events.schema import Item

CONTENT_DIM: Final = 1024
CONTENT_SCHEMA: Final = f"hashed-bag-{CONTENT_DIM}-v1"

_WORD = re.compile(r"\w+")
_FIELD_WEIGHTS: Final = {"word": 1.0, "category": 2.0, "attribute": 1.0}


def encode_content(items: Sequence[Item]) -> NDArray[np.float32]:
    """Return the hashed bags of items.

    A token adds its weight with a sign of its own, so that collisions cancel instead of adding up
    (Weinberger et al. 2009, "Feature hashing for large scale multitask learning").

    Returns:
        (n, CONTENT_DIM) float32; unit norm, or zero for an item without content.

    >>> bags = encode_content([Item(item_id="a", title="Red shoes"), Item(item_id="b")])
    >>> np.linalg.norm(bags, axis=1).round(3).tolist()
    [1.0, 0.0]
    """
    bags = np.zeros((len(items), CONTENT_DIM), np.float32)
    for row, item in enumerate(items):
        for field, token in _tokens(item):
            digest = xxhash.xxh3_64_intdigest(f"{field}:{token}".encode())
            sign = 1.0 if digest >> 63 else -1.0
            bags[row, digest % CONTENT_DIM] += sign * _FIELD_WEIGHTS[field]
    norms = np.linalg.norm(bags, axis=1, keepdims=True)
    bags /= np.where(norms > 0, norms, 1)
    return bags


def _tokens(item: Item) -> Iterator[tuple[str, str]]:
    """Yield (field, token) of an item; numbers become buckets of their magnitude."""
    for word in _WORD.findall(item.title.lower()):
        yield "word", word
    for category in item.categories:
        yield "category", category.lower()
    for name, value in (item.attributes | {"price": item.price}).items():
        if isinstance(value, bool) or (isinstance(value, str) and value):
            yield "attribute", f"{name}={value}"
        elif isinstance(value, (int, float)) and math.isfinite(value):
            magnitude = round(math.copysign(2 * math.log2(1 + abs(value)), value))
            yield "attribute", f"{name}~{magnitude}"
