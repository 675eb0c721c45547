"""The tests mirror the source: `streams/store.py` is tested in `tests/streams/test_store.py`.

What has no such file stands here with its reason. The list may only shrink: a module that is new
comes with its tests, and one that gets them leaves the list.
"""

from __future__ import annotations

import re
from pathlib import Path

MAX_LISTED = 67  # lower it whenever one leaves
PACKAGES = ("freshet", "online_models", "replay", "serving", "streams")
ELSEWHERE = {
    # tables, types and one-liners: there is nothing that a test could say beside them
    "freshet/core/clock.py": "one line",
    "freshet/core/metrics.py": "a table; tests/house/test_metrics.py",
    "freshet/core/errors.py": "a table; tests/commands/test_main.py shows the sentences",
    "freshet/core/events/topics.py": "a table; its examples run",
    "replay/evaluate/baselines/contestant.py": "a protocol",
    "replay/evaluate/check.py": "a protocol",
    "replay/evaluate/outcome.py": "types",
    "replay/evaluate/request.py": "types",
    "serving/http/services.py": "types",
    "streams/user_fold_rows.py": "layouts; tests/streams/test_user_fold.py",
    # seen through the verb or the process that they are a part of
    "replay/evaluate/tables.py": "tests/commands/test_eval.py",
    "freshet/commands/replay_words.py": "tests/commands/test_replay.py",
    "freshet/commands/replay_session.py": "tests/commands/test_replay.py",
    "freshet/commands/check_state.py": "tests/commands/test_replay.py",
    "freshet/commands/demo_check.py": "tests/commands/test_demo.py",
    "freshet/commands/demo_parts.py": "tests/commands/test_demo.py",
    "freshet/commands/duration.py": "its examples run",
    "freshet/embedded/kafka_cluster.py": "tests/faults/test_brokers.py",
    "freshet/embedded/tether.py": "tests/embedded/test_child.py",
    "replay/chaos/kafka_commits.py": "tests/commands/test_chaos.py",
    "replay/chaos/report.py": "tests/commands/test_chaos.py",
    "replay/chaos/strikes.py": "tests/commands/test_chaos.py",
    "replay/chaos/victims.py": "tests/commands/test_chaos.py",
    "replay/chaos/worker.py": "tests/commands/test_chaos.py",
    "replay/progress_bar.py": "tests/commands/test_replay.py",
    "serving/http/caller.py": "tests/serving/http/test_recommendations.py",
    "serving/http/health.py": "tests/serving/http/test_app.py",
    "serving/http/openapi.py": "tests/serving/http/test_app.py",
    "serving/http/page.py": "tests/serving/http/test_app.py",
    "serving/http/request_metrics.py": "tests/serving/http/test_app.py",
    # seen through the module that calls them
    "freshet/core/events/recorded/times.py": "tests/core/events/recorded/test_shapes.py",
    "freshet/core/events/recorded/rows.py": "tests/core/events/recorded/test_shapes.py",
    "freshet/core/events/recorded/report.py": "tests/core/events/recorded/test_shapes.py",
    "freshet/core/events/recorded/part.py": "tests/core/events/recorded/test_shapes.py",
    "freshet/core/events/recorded/conversion.py": "tests/core/events/recorded/test_shapes.py",
    "streams/user_embedding.py": "tests/streams/test_user_fold.py",
    "replay/chaos/user_truth.py": "tests/commands/test_chaos.py",
    "streams/series.py": "tests/house/test_alerts.py",
    "freshet/core/events/example_log.py": "tests/online_models/training/test_follow.py",
    "freshet/core/events/topic_log.py": "tests/commands/test_dlq.py",
    "online_models/artifacts/differences.py": "tests/online_models/artifacts/test_check.py",
    "online_models/artifacts/golden.py": "tests/online_models/artifacts/test_check.py",
    "online_models/artifacts/sessions.py": "tests/online_models/artifacts/test_bundle.py",
    "online_models/artifacts/tiny.py": "tests/online_models/artifacts/test_bundle.py",
    "online_models/artifacts/write.py": "tests/online_models/artifacts/test_bundle.py",
    "online_models/training/challenger_rows.py": "tests/online_models/training/test_challenger.py",
    "online_models/training/export.py": "tests/online_models/training/test_train.py",
    "replay/evaluate/baselines/ease.py": "tests/replay/evaluate/baselines/test_retrained.py",
    "replay/evaluate/baselines/ials.py": "tests/replay/evaluate/baselines/test_retrained.py",
    "replay/evaluate/baselines/item_knn.py": "tests/replay/evaluate/baselines/test_retrained.py",
    "replay/evaluate/off_policy_world.py": "tests/replay/evaluate/test_off_policy.py",
    "replay/evaluate/plots.py": "tests/replay/evaluate/test_report.py",
    "replay/evaluate/scores.py": "tests/replay/evaluate/test_judge.py",
    "replay/world.py": "tests/replay/test_generator.py",
    "serving/assembly.py": "tests/serving/test_pipeline.py",
    "serving/erasures.py": "tests/serving/http/test_users.py",
    "serving/http/bodies.py": "tests/serving/http/test_recommendations.py",
    "serving/item_state.py": "tests/serving/test_pipeline.py",
    "serving/partitioned_hashes.py": "tests/serving/test_change_follower.py",
    "serving/sources/new_items.py": "tests/serving/sources/test_gather.py",
    "serving/sources/popular.py": "tests/serving/sources/test_gather.py",
    "serving/sources/session.py": "tests/serving/sources/test_gather.py",
    "serving/sources/trending.py": "tests/serving/sources/test_gather.py",
    "streams/clearing.py": "tests/streams/test_user_shell_outbox.py",
    "streams/lifetimes.py": "tests/streams/test_user_shell.py",
    "streams/memory_store.py": "tests/streams/test_store.py",
    "streams/user_packing.py": "tests/core/state/test_records.py",
}


def mirror_of(module: str) -> str:
    """Where the tests of a module belong."""
    *folders, name = module.removeprefix("freshet/").split("/")
    return "/".join(["tests", *folders, f"test_{name}"])


def modules(root: Path) -> set[str]:
    """All modules; what an `__init__` says is tested with what it holds."""
    return {
        str(path.relative_to(root))
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        if path.name != "__init__.py"
    }


def test_every_module_has_its_tests(root: Path) -> None:
    """In the place where one looks for them; or it stands in the list."""
    missing = {module for module in modules(root) if not (root / mirror_of(module)).exists()}
    new = sorted(missing - set(ELSEWHERE))
    assert not new, "write their tests, or say in ELSEWHERE where they are and why there"


def test_the_list_only_shrinks(root: Path) -> None:
    """What has its tests now leaves it; and where others test it, they are there."""
    listed = set(ELSEWHERE)
    tested = {module for module in listed if (root / mirror_of(module)).exists()}
    assert not tested, "these have their tests: take them off the list"
    for module, reason in ELSEWHERE.items():
        for named in re.findall(r"tests/[\w/]+\.py", reason):
            assert (root / named).exists(), f"{module}: {named}"
    assert len(listed) <= MAX_LISTED
