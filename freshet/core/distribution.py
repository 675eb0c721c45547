"""How Freshet is installed: the one place for the name and for what to type.

The package, the command and the folder are called `freshet`; the distribution cannot be, because
package registries have another program of that name. It is not published: it is installed from a
checkout, and every sentence that says how comes from here.
"""

from __future__ import annotations

from typing import Final

DISTRIBUTION: Final = "freshet-recommender"


def install_advice(extras: str) -> str:
    """Return what to type where these extras of pyproject.toml are missing.

    >>> install_advice("train")
    "in your checkout of Freshet: `make setup`, or `pip install -e '.[train]'`"
    """
    return f"in your checkout of Freshet: `make setup`, or `pip install -e '.[{extras}]'`"
