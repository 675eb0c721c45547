"""The limits of a bundle come from the settings."""

import msgspec

from freshet.core.settings import Settings
from online_models.artifacts.checks.budget import Budget


def test_a_budget_is_of_the_settings() -> None:
    """And survives the arguments of a process."""
    budget = Budget.of(Settings(model_budget_ms=3, model_memory_mib=100, model_check_s=7))
    assert budget == Budget(list_ms=3, memory_mib=100, check_s=7)
    assert msgspec.json.decode(budget.encoded(), type=Budget) == budget
    assert Budget.of(Settings()) == Budget()
