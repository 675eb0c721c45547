"""`freshet serve`: its help, and the settings with which it does not start."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from click.testing import CliRunner

from freshet.commands.main import main
from freshet.commands.serve import command


def test_the_help_teaches() -> None:
    """It says what is needed and shows how to ask."""
    text = CliRunner().invoke(command, ["--help"]).output
    assert "Kafka or Redis" in text
    assert "/v1/recommendations?user=" in text
    assert "--port" in text


def test_a_taken_port_stops_the_start_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Exit code 2, the address in the words, no trace."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as caught:
            main(["serve", "--port", str(port)])
    assert caught.value.code == 2
    words = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in words
    assert "Traceback" not in words
