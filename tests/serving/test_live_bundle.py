"""Swapping bundles under requests, and refusing the bad ones."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import Item
from freshet.core.metrics import MODEL_SWAPS
from freshet.core.settings import Settings
from freshet.core.state.records import unpack_items
from online_models.artifacts.check import load_bundle
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle
from serving.answer import Query
from serving.live_bundle import BoundBundle, LiveBundle
from serving.moment import State
from serving.pipeline import recommend
from serving.source_weights import SourceWeights
from serving.user_notices import UserNotices
from serving.user_sessions import UserSessions


@pytest.fixture
def folder(tmp_path: Path, models: Path) -> Path:
    """A registry of the test's own, with one bundle."""
    return Path(shutil.copytree(models, tmp_path / "models"))


@pytest.fixture
def following(folder: Path, table: Any) -> LiveBundle:
    """Follows that registry; nothing is loaded yet."""
    return LiveBundle(Registry(folder, checker=load_bundle), table)


def swaps(result: str) -> float:
    return float(MODEL_SWAPS.labels(result)._value.get())


def corrupt(folder: Path, version: str, name: str) -> None:
    path = folder / version / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


async def test_without_a_bundle_nothing_is_in_use(tmp_path: Path, table: Any) -> None:
    """Serving starts all the same."""
    live = LiveBundle(Registry(tmp_path / "none"), table)
    await live.refresh()
    assert live.current is None
    assert live.version == "none"


async def test_the_current_bundle_is_taken_into_use(following: LiveBundle, items: Any) -> None:
    """Its vectors stand at the rows of the table."""
    await following.refresh()
    bound = following.current
    assert bound is not None
    for row in (0, 17, 79):
        index = bound.bundle.item_ids.index(items[row].item_id)
        assert bound.vectors[row].tolist() == bound.bundle.item_vectors[index].tolist()
    assert bound.has_vector[:80].all()


async def test_the_nearest_rows_are_those_of_the_slow_search(
    following: LiveBundle, table: Any
) -> None:
    """Over index and side list together."""
    await following.refresh()
    table.offer([Item(item_id=f"late-{n}", title=f"amber moon {n}") for n in range(5)])
    await following.embed_new_items()
    bound = following.current
    assert bound is not None
    late = table.row("late-3")
    rows, scores = bound.nearest(bound.vectors[late], 7)
    slow = bound.vectors[: table.size] @ bound.vectors[late]
    assert set(rows.tolist()) == set(np.argsort(-slow)[:7].tolist())
    np.testing.assert_allclose(scores, np.sort(slow)[::-1][:7], rtol=1e-5)
    assert rows[0] == late


async def test_an_item_after_the_bundle_gets_the_vector_of_its_content(
    following: LiveBundle, table: Any
) -> None:
    """A stranger that only histories name gets none."""
    await following.refresh()
    item = Item(item_id="late", title="velvet winter")
    table.offer([item])
    table.put_records(["stranger"], _empty_record())
    await following.embed_new_items()
    bound = following.current
    assert bound is not None
    expected = bound.bundle.embed_items([item])[0]
    np.testing.assert_allclose(bound.vectors[table.row("late")], expected, rtol=1e-6)
    assert not bound.has_vector[table.row("stranger")]


async def test_another_version_replaces_the_one_in_use(
    following: LiveBundle, folder: Path, items: Any
) -> None:
    """One reference is swapped; who holds the old one keeps it whole."""
    await following.refresh()
    old, before = following.current, swaps("swapped")
    version = publish_tiny_bundle(folder, items, seed=3)
    await following.refresh()
    assert following.version == version
    assert following.current is not old
    assert old is not None
    assert old.vectors[:80].any()
    assert swaps("swapped") == before + 1
    await following.refresh()
    assert swaps("swapped") == before + 1


async def test_a_corrupt_bundle_is_refused_once_and_the_old_one_serves_on(
    following: LiveBundle, folder: Path, items: Any
) -> None:
    """Counted, remembered, and never tried in a loop."""
    await following.refresh()
    good, before = following.version, swaps("rejected")
    bad = publish_tiny_bundle(folder, items, seed=4)
    corrupt(folder, bad, "ranker.onnx")
    await following.refresh()
    await following.refresh()
    assert following.version == good
    assert swaps("rejected") == before + 1
    better = publish_tiny_bundle(folder, items, seed=5)
    await following.refresh()
    assert following.version == better


@pytest.mark.services
async def test_a_bundle_is_checked_in_a_child_process_first(
    folder: Path, table: Any, items: Any
) -> None:
    """The registry's own checker refuses it, and this process never loads it."""
    live = LiveBundle(Registry(folder), table)
    await live.refresh()
    good = live.version
    bad = publish_tiny_bundle(folder, items, seed=6)
    corrupt(folder, bad, "vectors.npy")
    await live.refresh()
    assert live.version == good


async def test_requests_run_through_a_swap_without_one_failure(
    following: LiveBundle, folder: Path, items: Any, users: Any, item_state: Any
) -> None:
    """Each answer comes from one of the two versions, whole."""
    await following.refresh()
    old = following.version
    settings, sessions = Settings(deadline_ms=10_000), UserSessions(item_state.table)
    state = State(
        settings, users, item_state, following, UserNotices(), sessions, SourceWeights(lambda: 0)
    )
    users.act("ann", "item-3")
    done = asyncio.Event()
    answers = []

    async def requests(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not done.is_set():
            answers.append((await recommend(state, Query(user="ann"), "r", rng)).answer)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for seed in range(3):
            group.create_task(requests(seed))
        new = await asyncio.to_thread(publish_tiny_bundle, folder, items, seed=7)
        await following.refresh()
        answered = len(answers) + 6
        while len(answers) < answered:  # noqa: ASYNC110 - the requests set no event
            await asyncio.sleep(0)
        done.set()
    assert {answer.model_version for answer in answers} == {old, new}
    assert all(answer.quality == "full" and len(answer.items) == 20 for answer in answers)


def test_binding_twice_changes_nothing(registry: Registry, table: Any) -> None:
    """Rows bound before are passed over."""
    bound = BoundBundle(registry.load(registry.versions()[0]))
    bound.bind(table.ids)
    before = bound.vectors.copy()
    bound.bind(table.ids)
    assert (bound.vectors == before).all()


def _empty_record() -> Any:
    return unpack_items([None])


async def test_whatever_loading_raises_the_old_one_serves_on(
    following: LiveBundle, folder: Path, items: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library may raise anything for a strange file."""
    await following.refresh()
    good, before = following.version, swaps("rejected")
    publish_tiny_bundle(folder, items, seed=8)
    for error in (MemoryError(), RecursionError(), OverflowError(), RuntimeError(), KeyError()):
        live = LiveBundle(Registry(folder, checker=load_bundle), following._table)
        live.current = following.current

        def fail(*_: object, raised: Exception = error) -> None:
            raise raised

        monkeypatch.setattr(Registry, "load", fail)
        await live.refresh()
        assert live.version == good
    assert swaps("rejected") == before + 5


async def test_a_start_with_a_bad_bundle_goes_to_the_newest_good_one(
    following: LiveBundle, folder: Path, items: Any
) -> None:
    """Also where nobody can read which one is meant; without any, there is no model."""
    good = following._candidates.next(None)
    assert good is not None
    bad = publish_tiny_bundle(folder, items, seed=9)
    corrupt(folder, bad, "ranker.onnx")
    await following.refresh()
    assert following.version == good
    (folder / "CURRENT").write_bytes(b"\xff\xfe")
    another = LiveBundle(Registry(folder, checker=load_bundle), following._table)
    await another.refresh()
    assert another.version == good
    corrupt(folder, good, "ranker.onnx")
    none = LiveBundle(Registry(folder, checker=load_bundle), following._table)
    await none.refresh()
    assert none.version == "none"


async def test_a_bundle_that_was_incomplete_is_taken_when_it_is_whole(
    following: LiveBundle, folder: Path, items: Any
) -> None:
    """Its files may arrive after the manifest."""
    await following.refresh()
    late = publish_tiny_bundle(folder, items, seed=10)
    (folder / late / "vectors.npy").rename(folder / "vectors.npy")
    await following.refresh()
    assert following.version != late
    (folder / "vectors.npy").rename(folder / late / "vectors.npy")
    await following.refresh()
    await following.refresh()
    assert following.version == late


async def test_an_item_on_which_the_tower_fails_has_no_vector(
    following: LiveBundle, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of its batch have, and nothing ends."""
    await following.refresh()
    bound = following.current
    assert bound is not None
    embed = type(bound.bundle).embed_items

    def fails(bundle: Any, items: Any) -> Any:
        if any(item.item_id == "late-2" for item in items):
            raise RuntimeError("this one")
        return embed(bundle, items)

    monkeypatch.setattr(type(bound.bundle), "embed_items", fails)
    table.offer([Item(item_id=f"late-{n}", title=f"amber moon {n}") for n in range(4)])
    await following.embed_new_items()
    await following.embed_new_items()
    has = [bool(bound.has_vector[table.row(f"late-{n}")]) for n in range(4)]
    assert has == [True, True, False, True]
