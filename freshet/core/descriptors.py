"""How many files and sockets this process may have open."""

from __future__ import annotations

import resource


def raise_descriptor_limit() -> int:
    """Raise the limit of open descriptors to what the system allows, and return it.

    A shell gives 1,024, and each feed is a socket.

    >>> raise_descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    True
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
