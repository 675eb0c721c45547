"""The demo as a check: it ends by itself and keeps its promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from freshet.commands.demo import has_display


@pytest.mark.parametrize(
    ("environ", "expected"), [({}, False), ({"DISPLAY": ""}, False), ({"DISPLAY": ":0"}, True)]
)
def test_a_browser_is_opened_only_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: bool
) -> None:
    """A text browser would take the terminal from the demo."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert has_display(environ) is expected


@pytest.mark.services
@pytest.mark.training
def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    """Nothing lost, nothing doubled, a click in the list in time, a better list than popular."""
    done = subprocess.run(
        [sys.executable, "-m", "freshet.commands.main", "demo", "--check"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert all(figures["checks"].values())
    assert figures["events_produced"] == figures["events_applied"] > 50_000
    assert figures["events_lost"] == figures["events_doubled"] == 0
    assert figures["personalised_share"] > 0.9
    quality = figures["quality"]
    assert quality["clicks"] > 300
    assert quality["hr20"] > quality["recent_popular_hr20"]
    assert not (tmp_path / ".freshet" / "running.toml").exists()
