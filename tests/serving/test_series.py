"""The words of labels are those that the code counts by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import serving
from serving import series

COUNTED = re.compile(r'(?P<metric>[A-Z_]+)\.labels\("(?P<value>\w+)"\)')


@pytest.mark.parametrize(("counter", "values"), series._VALUES)
def test_words_that_are_counted_are_born(counter: object, values: tuple[str, ...]) -> None:
    """A word in the code that is not in the table would be born with its first count."""
    names = [name for name, value in vars(series).items() if value is counter]
    used = {
        found["value"]
        for file in Path(serving.__file__).parent.rglob("*.py")
        for found in COUNTED.finditer(file.read_text())
        if found["metric"] in names
    }
    assert used <= set(values)
