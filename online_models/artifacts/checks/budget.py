"""What a bundle may cost: the check, and then each list."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from freshet.core.settings import Settings


class Budget(Struct, frozen=True, kw_only=True):
    """Limits of one bundle.

    Attributes:
        list_ms: processor time that its models may take for one list.
        memory_mib: memory that it may take where it is checked.
        check_s: processor time after which its check is ended.
    """

    list_ms: float = 20.0
    memory_mib: int = 4096
    check_s: float = 120.0

    @classmethod
    def of(cls, settings: Settings) -> Budget:
        """Return the budget that the settings give.

        >>> Budget.of(Settings(model_budget_ms=5.0)).list_ms
        5.0
        """
        return cls(
            list_ms=settings.model_budget_ms,
            memory_mib=settings.model_memory_mib,
            check_s=settings.model_check_s,
        )

    def encoded(self) -> str:
        """Return it as JSON, for the arguments of a process."""
        return msgspec.json.encode(self).decode()
