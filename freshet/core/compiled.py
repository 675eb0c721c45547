"""Loops over rows, compiled to machine code: what the folds do for every event.

Law: a compiled function is a function of its arguments, and calls nothing but numpy and its
neighbours in the same file. Machine code is kept between starts, and numba makes it anew only when
that file has changed: a constant of another module would stay as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

log = logging.getLogger(__name__)

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(*arguments: Any) -> Callable[[Loop], Loop]:
    """Compile the decorated function at its import, for arguments of these types and no others.

    Args:
        arguments: numba types, such as `rows_of(dtype)` and `numba.int64`. A call with others
            raises TypeError, where numba alone would stop the event loop to compile once more.
    """

    def compile_now(loop: Loop) -> Loop:
        try:
            return cast(Loop, numba.njit(arguments, cache=True)(loop))
        except RuntimeError as error:  # no folder for the machine code can be written
            log.warning("%s is compiled at every start: %s", loop.__name__, error)
            return cast(Loop, numba.njit(arguments)(loop))

    return compile_now


def rows_of(dtype: Any, *, dimensions: int = 1, writable: bool = True) -> Any:
    """Return the numba type of a contiguous array.

    Args:
        dtype: anything that names a numpy dtype, of structures too.
        dimensions: of the array.
        writable: False for one that is only read, such as a view of bytes.
    """
    rows = numba.from_dtype(np.dtype(dtype))
    return numba.types.Array(rows, dimensions, "C", readonly=not writable)


def part(loop: Loop) -> Loop:
    """Let compiled functions of the same file call the decorated one, for any types."""
    return cast(Loop, numba.njit(loop))
