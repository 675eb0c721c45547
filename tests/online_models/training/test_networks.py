"""The item tower drops identities only where content remains."""

import numpy as np
import pytest
import torch

from online_models.content import CONTENT_DIM
from online_models.training.networks import ContentTower, ItemTower

pytestmark = pytest.mark.training


def tower_of(with_content: int, without: int) -> ItemTower:
    """A tower of items with one token each, and then of items without content."""
    torch.manual_seed(0)
    content = np.zeros((with_content + without, CONTENT_DIM), np.float32)
    content[np.arange(with_content), np.arange(with_content) % CONTENT_DIM] = 1
    return ItemTower(content)


def test_without_content_an_identity_is_never_dropped() -> None:
    """Nothing would remain of the item: 0 of 2,000."""
    tower = tower_of(0, 2_000)
    assert bool(tower.kept_identities(torch.arange(2_000)).all())


def test_with_content_an_identity_is_dropped_at_the_rate() -> None:
    """A fifth of 20,000 within 5 standard errors; items without content among them never."""
    tower = tower_of(20_000, 500)
    rows = torch.randperm(20_500)
    kept = tower.kept_identities(rows)
    has_content = rows < 20_000
    assert bool(kept[~has_content].all())
    dropped = 1 - float(kept[has_content].float().mean())
    assert dropped == pytest.approx(0.2, abs=5 * (0.2 * 0.8 / 20_000) ** 0.5)


def test_a_dropped_identity_leaves_what_is_exported() -> None:
    """The content alone, as an item has it that was just created."""
    tower = tower_of(3, 1)
    rows, dropped = torch.arange(3), torch.zeros(3, dtype=torch.bool)
    content = torch.eye(CONTENT_DIM)[:3]
    with torch.no_grad():
        found = tower(rows, dropped)
        expected = ContentTower(tower)(content)
    torch.testing.assert_close(found, expected)


def test_items_without_content_differ_by_their_identities_alone() -> None:
    """Each its own vector while it is kept, and one for all of them without."""
    tower = tower_of(1, 5)
    rows = torch.arange(1, 6)
    with torch.no_grad():
        kept = tower(rows, tower.kept_identities(rows))
        none = tower(rows, torch.zeros(5, dtype=torch.bool))
    assert len(torch.unique(kept, dim=0)) == 5
    assert len(torch.unique(none.round(decimals=5), dim=0)) == 1
