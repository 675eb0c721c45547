"""Telemetry is off before a library could read whether it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freshet.core.telemetry import TELEMETRY_OFF, switch_off
from online_models.artifacts.tiny import tiny_items, write_tiny_bundle

# Where ONNX Runtime sees one of these it sends nothing by itself, and a test would see nothing.
AUTOMATION = {"TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL",
              "CODEBUILD_BUILD_ID", "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR",
              "BITBUCKET_BUILD_NUMBER"}  # fmt: skip


@pytest.mark.parametrize("was", [{}, {"ORT_DISABLE_TELEMETRY": "0"}, {"OTHER": "kept"}])
def test_the_variables_are_set_whatever_they_were(was: dict[str, str]) -> None:
    """What else is there stays."""
    environ = dict(was)
    switch_off(environ)
    assert environ == {**was, **TELEMETRY_OFF}


def test_a_session_leaves_nothing_in_a_home(tmp_path: Path) -> None:
    """ONNX Runtime, loaded as each of our processes loads it, by a user who has no files yet."""
    write_tiny_bundle(tmp_path / "bundle", tiny_items(20))
    inherited = {name: value for name, value in os.environ.items() if name not in AUTOMATION}
    inherited.pop("ORT_DISABLE_TELEMETRY", None)
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(
        [sys.executable, "-m", "online_models.artifacts.check", str(tmp_path / "bundle")],
        env={**inherited, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        check=True,
    )
    assert not [each for each in home.rglob("*") if each.is_file()]
