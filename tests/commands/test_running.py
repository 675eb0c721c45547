"""Finding the installation that runs in this folder."""

import os
from pathlib import Path

import pytest

from freshet.commands.running import announce, find_running
from freshet.core.errors import FreshetError
from freshet.core.settings import Settings, load_settings

SETTINGS = Settings(namespace="found", kafka_bootstrap="127.0.0.1:1234", http_port=4321)


def test_nothing_runs_in_an_empty_folder(tmp_path: Path) -> None:
    """There is no file."""
    assert find_running({}, tmp_path / "running.toml") is None


def test_an_announced_installation_is_found_as_long_as_it_lives(tmp_path: Path) -> None:
    """With its addresses, readable as a settings file."""
    file = tmp_path / "new" / "running.toml"
    with announce(SETTINGS, os.getpid(), file):
        assert find_running({}, file) == file
        found = load_settings({}, path=file)
        assert (found.namespace, found.http_port) == ("found", 4321)
        assert found.kafka_bootstrap == SETTINGS.kafka_bootstrap
    assert not file.exists()


def test_nobody_else_can_read_the_passwords(tmp_path: Path) -> None:
    """Nor where a file was left that everybody could read."""
    file = tmp_path / "running.toml"
    file.write_text(f"# process {2**22 + 1}\n")
    file.chmod(0o666)
    settings = Settings(
        redis_url="redis://:s3cretPW@one",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username="me",
        kafka_sasl_password="s3cretPW",
    )
    with announce(settings, os.getpid(), file):
        assert file.stat().st_mode & 0o777 == 0o600
        assert load_settings({}, path=file) == settings


@pytest.mark.parametrize("named", ["FRESHET_CONFIG", "FRESHET_REDIS_URL"])
def test_what_the_environment_names_wins(tmp_path: Path, named: str) -> None:
    """Whoever names an address means it."""
    file = tmp_path / "running.toml"
    with announce(SETTINGS, os.getpid(), file):
        assert find_running({named: "x"}, file) is None


def test_a_file_that_a_dead_process_left_is_ignored_and_replaced(tmp_path: Path) -> None:
    """As after a kill -9."""
    file = tmp_path / "running.toml"
    file.write_text(f"# process {2**22 + 1}\n")
    assert find_running({}, file) is None
    with announce(SETTINGS, os.getpid(), file):
        assert find_running({}, file) == file


def test_two_installations_in_one_folder_are_refused(tmp_path: Path) -> None:
    """The first one's file stays."""
    file = tmp_path / "running.toml"
    with announce(SETTINGS, os.getpid(), file):
        with (
            pytest.raises(FreshetError, match="already runs in this folder"),
            announce(SETTINGS, os.getppid(), file),
        ):
            pass
        assert find_running({}, file) == file
