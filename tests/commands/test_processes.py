"""The processes of an installation: what is started, and how an end is noticed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from freshet.commands.processes import require_running, start_server
from freshet.core.errors import ServiceError
from freshet.core.settings import Settings
from freshet.embedded.child import Child

pytestmark = pytest.mark.services


def test_a_child_that_ended_by_itself_is_noticed(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """By name, with its last words."""
    child = Child("oracle", [sys.executable, "-c", "print('bye'); exit(3)"], log=tmp_path / "log")
    wait_until(lambda: not child.running)
    with pytest.raises(ServiceError, match=r"oracle: ended with code 3\nbye"):
        require_running([child])
    require_running([])


def test_a_server_that_does_not_start_is_an_error_with_its_log(tmp_path: Path) -> None:
    """It is not waited for."""
    wrong = Settings(log_level="LOUD")
    with pytest.raises(ServiceError, match=r"server: ended with code 2\n.*log_level is 'LOUD'"):
        start_server(wrong, log=tmp_path / "server.log")
