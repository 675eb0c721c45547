"""Up: everything in one terminal, found by the other verbs, gone after Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from freshet.commands.running import find_running
from freshet.core.settings import load_settings

pytestmark = pytest.mark.services


@pytest.mark.parametrize("asked_by", [signal.SIGINT, signal.SIGTERM])
def test_everything_starts_is_found_and_ends(
    tmp_path: Path, wait_until: Callable[..., None], asked_by: signal.Signals
) -> None:
    """No process, and no file that says it runs, is left behind."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FRESHET_")}
    up = subprocess.Popen(
        [sys.executable, "-m", "freshet.commands.main", "up", "--port", "0"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    file = tmp_path / ".freshet" / "running.toml"
    try:
        wait_until(lambda: up.poll() is not None or find_running({}, file), 60, "it runs")
        assert up.poll() is None, up.stdout and up.stdout.read()
        settings = load_settings({}, path=file)
        url = f"http://{settings.http_host}:{settings.http_port}"
        assert httpx.get(f"{url}/readyz").status_code == httpx.codes.OK
        family = psutil.Process(up.pid).children(recursive=True)
        assert len(family) >= 5  # broker, Redis, supervisor, worker, server
        up.send_signal(asked_by)
        said, _ = up.communicate(timeout=30)
    finally:
        up.kill()
    assert up.returncode == 0
    assert url in said
    assert "Traceback" not in said
    assert not file.exists()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
