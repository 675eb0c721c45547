"""How many files and sockets this process may have open."""

from __future__ import annotations

import resource
from contextlib import suppress


def raise_descriptor_limit() -> int:
    """Raise the limit of open descriptors to what the system allows, and return it.

    A shell gives 1,024, and each feed is a socket.

    >>> raise_descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    True
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says "no limit", and takes less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
