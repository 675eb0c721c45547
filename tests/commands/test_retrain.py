"""`freshet train --every`: what is due when, and what is said of each training."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.commands import retrain
from freshet.commands.retrain import Trained, Trainings, next_due_s
from freshet.core.settings import Settings
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items

NOW_MS = 1_763_800_000_000


@given(st.integers(0, 10**6), st.integers(1, 10**5), st.integers(0, 10**7))
def test_the_next_one_is_at_an_even_distance(started: int, every: int, since: int) -> None:
    """The first such moment that is not past."""
    due = next_due_s(started, every, started + since)
    assert (due - started) % every == 0
    assert started + since < due <= started + since + every


class Process:
    """A training that runs for so many looks, and prints."""

    def __init__(self, looks: int, code: int, printed: str) -> None:
        self._looks, self._code, self._printed = looks, code, printed
        self.stopped = False

    def __call__(self, _name: str, command: list[str], *, log: Path, **_: Any) -> Process:
        self.command = command
        log.write_text(self._printed)
        return self

    @property
    def running(self) -> bool:
        self._looks -= 1
        return self._looks >= 0

    def stop(self, _timeout_s: float) -> int:
        self.stopped = True
        return self._code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for models, in a world where a second takes none."""
    now_s = itertools.count()
    time = SimpleNamespace(monotonic=lambda: float(next(now_s)), sleep=lambda _: None)
    monkeypatch.setattr(retrain, "time", time)
    return tmp_path


def trainings(folder: Path) -> Trainings:
    settings = Settings(models_dir=str(folder / "models"))
    return Trainings(settings, ["--quick"], folder, lambda: NOW_MS)


def test_a_bundle_is_told_beside_the_one_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its figures, or without where nothing was measured."""
    version = publish_tiny_bundle(folder / "models", tiny_items(5))
    made = Registry(folder / "models").manifest(version)
    measured = msgspec.structs.replace(
        made,
        parent=version,
        metrics={"log": {"events": 12_345}, "test": {"ranker": {"recall_at_20": 0.25}}},
    )
    process = Process(2, 0, f"a bar\n{msgspec.json.encode(measured).decode()}\n")
    monkeypatch.setattr(retrain, "Child", process)
    trained = trainings(folder).train(lambda: False)
    assert process.command[-3:] == ["train", "--quick", "--json"]
    assert trained == Trained(
        ts_ms=NOW_MS,
        version=version,
        seconds=1.0,
        events=12_345,
        figures={"recall_at_20": 0.25},
    )
    assert trained.sentence() == (
        f"bundle {version} is in use: 12,345 events, 1 s, ranker recall_at_20 0.2500, "
        "before it unknown"
    )


@pytest.mark.parametrize(
    ("code", "printed", "reason"),
    [
        (1, "a bar\nfreshet: kafka: gone\n", "freshet: kafka: gone"),
        (-9, "a bar\n", "signal 9 ended it; a bar"),
        (1, "", "it said nothing"),
    ],
)
def test_a_failure_is_told_and_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, printed: str, reason: str
) -> None:
    """Each time, with the last that it said."""
    every = trainings(folder)
    for number in (1, 2):
        monkeypatch.setattr(retrain, "Child", Process(0, code, printed))
        trained = every.train(lambda: False)
        assert trained == Trained(ts_ms=NOW_MS, seconds=1.0, reason=reason, failed=number)


def test_who_is_stopped_on_the_way_stops_the_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is told of it, and it is no failure."""
    process = Process(100, -15, "")
    monkeypatch.setattr(retrain, "Child", process)
    every = trainings(folder)
    assert every.train(lambda: True) is None
    assert process.stopped
    assert every.failed == 0
