"""How tests are shared out between processes that run them at the same time (pytest-xdist).

Law: the tests of a file run in one process, one after the other, so that what a module's fixture
starts is started once. Tests that are marked `alone` run one after the other, when no file is left:
they measure time, and on two cores a neighbour would be measured with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

ALONE = "alone"
_GROUPED = pytest.mark.xdist_group(ALONE)  # with --dist loadgroup, names then end with @alone


class FileScheduling(LoadScopeScheduling):
    """Shares out the files in the order of the collection, and all that is `alone` as one."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what a test belongs to; this process knows a test by its name only."""
        return ALONE if nodeid.endswith(f"@{ALONE}") else nodeid.partition("::")[0]


def alone_last(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests, with those that are marked `alone` at the end and grouped."""
    alone = [item for item in items if item.get_closest_marker(ALONE)]
    for item in alone:
        item.add_marker(_GROUPED)
    return [item for item in items if not item.get_closest_marker(ALONE)] + alone
