"""What a check of a judged run came to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """What a check came to; becomes JSON as it is.

    Attributes:
        name: what was checked.
        passed: None when it could not be checked.
        found: what was seen, a sentence.
        figures: by name.
    """

    name: str
    passed: bool | None
    found: str
    figures: dict[str, float] = field(default_factory=dict)
