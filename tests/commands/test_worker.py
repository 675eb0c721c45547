"""`freshet worker`: what its help says is what its folds read."""

import re
from typing import Any

import pytest
from click.testing import CliRunner

from freshet.commands.main import cli
from freshet.core.events.topics import Topics
from freshet.core.progress import FOLDS, ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from streams.fold_shell import FoldContext, FoldShell
from streams.memory_store import MemoryStore
from streams.worker import compose_folds

NAMESPACE = "here"


@pytest.fixture
def folds() -> list[FoldShell[Any, Any]]:
    """The folds of a worker, with nothing around them."""
    settings, none = Settings(namespace=NAMESPACE), Any
    context = FoldContext(settings, 4, MemoryStore(), none, lambda: 0)  # type: ignore[arg-type]
    return compose_folds(context, none)  # type: ignore[arg-type]


def test_the_help_names_every_topic_that_is_read(folds: list[FoldShell[Any, Any]]) -> None:
    """No more and no fewer."""
    text = " ".join(CliRunner().invoke(cli, ["worker", "--help"]).output.split())
    sentence = re.search(r"Reads the topics (.*?)\. ", text)
    assert sentence is not None
    named = re.findall(r"`(?:<namespace>)?\.([\w-]+)`", sentence[1])
    assert [f"{NAMESPACE}.{name}" for name in named] == [fold.topic for fold in folds]


def test_every_fold_is_looked_at(folds: list[FoldShell[Any, Any]]) -> None:
    """Each by its own name, topic and position, as `freshet lag` reads them."""
    reader = ProgressReader(Settings(namespace=NAMESPACE, redis_url="redis://127.0.0.1:1/0"), 4)
    assert tuple(fold.name for fold in folds) == FOLDS
    assert {fold.name: fold.topic for fold in folds} == reader._topic
    for fold in folds:
        assert fold.position_key(3) == reader._key[fold.name](3)
    assert len({fold.topic for fold in folds}) == len(folds)
    assert {fold.topic for fold in folds} < set(Topics(NAMESPACE).all())
    assert len({fold.position_key(0) for fold in folds} - {Keys(NAMESPACE).meta}) == len(folds)
