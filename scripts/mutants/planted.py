"""The bugs that `make mutants` plants: each is one small change, found by unit tests in seconds.

`tests/house/test_mutants.py` holds the table to the source: what is to be replaced is there once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug.

    Attributes:
        name: what is wrong with it.
        file: where it is.
        old: what stands there, once.
        new: what is put in its place.
        tests: files or tests, one of which must fail.
        unfound: why no unit test finds it, for one that only slower tests find.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    unfound: str = ""

    def applied(self, text: str) -> str:
        """Return the text of the file with the bug.

        Raises:
            ValueError: what is to be replaced is not there once.
        """
        if (times := text.count(self.old)) != 1:
            raise ValueError(f"{self.file}: {self.old!r} is there {times} times, expected 1")
        return text.replace(self.old, self.new)


_FOLD = "streams/user_fold_loops.py"
_FOLD_TESTS = (
    "tests/streams/test_user_fold.py",
    "tests/streams/test_user_fold_loops.py",
    "tests/streams/test_user_fold_long.py",
)

PLANTED = (
    # --- the folds ---
    Planted(
        "one event in 10,000 is not counted",
        _FOLD,
        "        user.type_counts[event.type] += 1\n",
        "        user.type_counts[event.type] += event.offset % 10_000 != 9_999\n",
        _FOLD_TESTS,
    ),
    Planted(
        "1 % of the transitions are lost",
        _FOLD,
        "            n_covisits += 1\n",
        "            n_covisits += event.event % 100 != 0\n",
        _FOLD_TESTS,
    ),
    Planted(
        "an event at the very time of an erasure counts",
        "streams/erasures.py",
        "((ts_ms <= erased_ts_ms) | sent_again)",
        "((ts_ms < erased_ts_ms) | sent_again)",
        ("streams/erasures.py", "tests/streams/test_screening.py"),
    ),
    Planted(
        "a clock far ahead of the log is believed",
        _FOLD,
        "ts_ms = event.log_ts_ms if ahead else event.ts_ms",
        "ts_ms = event.ts_ms",
        (*_FOLD_TESTS, "tests/streams/test_event_time.py"),
    ),
    Planted(
        "a page of the past is written one interaction too late",
        _FOLD,
        "if interactions and interactions % len(user.history) == 0:",
        "if interactions and interactions % len(user.history) == 1:",
        (*_FOLD_TESTS, "tests/streams/test_past.py"),
    ),
    Planted(
        "a late rejection is not taken back by what came after it",
        _FOLD,
        "        if after_s <= ts_s:\n            break",
        "        if after_s >= ts_s:\n            break",
        ("tests/streams/test_unwanted.py",),
    ),
    Planted(
        "a user adds twice to an item in one window",
        _FOLD,
        "row.weight = max(rule.trend_weight[event.type] - strongest, 0)",
        "row.weight = rule.trend_weight[event.type]",
        (*_FOLD_TESTS,),
    ),
    Planted(
        "the cache of users is kept when partitions are assigned anew",
        "streams/fold_shell.py",
        "self._cache = self._new_cache()  # of the partition, others may have written since",
        "pass",
        ("tests/streams/test_fold_shell.py",),
    ),
    Planted(
        "two rounds are written in any order",
        "streams/fold_shell.py",
        "            await self._writing.acquire()\n",
        "        await self._writing.acquire()\n",
        ("tests/streams/test_fold_shell.py",),
        "",
    ),
    Planted(
        "records between the position and a batch are passed over",
        "streams/partition_state.py",
        "if batch.start > at:",
        "if False:",
        ("tests/streams/test_partition_state.py", "tests/streams/test_fold_shell.py"),
    ),
    Planted(
        "the first record behind the position is applied again",
        "streams/partition_state.py",
        "return batch.from_offset(at) if batch.end > at else None",
        "return batch.from_offset(max(at - 1, batch.start)) if batch.end > at else None",
        ("tests/streams/test_partition_state.py", "tests/streams/test_fold_shell.py"),
    ),
    Planted(
        "an emptied bucket of a trend keeps its count",
        "streams/item_fold.py",
        "range(max(head + 1, bucket - buckets + 1), bucket + 1)",
        "range(max(head + 1, bucket - buckets + 1), bucket)",
        ("tests/streams/test_item_fold.py",),
    ),
    Planted(
        "an item forgets when it was first seen",
        "streams/item_fold.py",
        "ts_ms < record.first_ts_ms",
        "ts_ms > record.first_ts_ms",
        ("tests/streams/test_item_fold.py",),
    ),
    Planted(
        "a full sample of transitions keeps the smallest",
        "streams/item_fold.py",
        "if priority[at] < priority[smallest] or (",
        "if priority[at] > priority[smallest] or (",
        ("tests/streams/test_item_fold.py",),
    ),
    Planted(
        "deltas that are too large are cut within an event",
        "streams/deltas.py",
        "_event_keys(covisits) < middle",
        "_event_keys(covisits) <= middle",
        ("tests/streams/test_deltas.py",),
    ),
    Planted(
        "what an outbox holds is told in the order of its names",
        "streams/outbox.py",
        "ends = sorted(int(name) for name in entries if name.isdecimal())",
        "ends = [int(name) for name in sorted(entries) if name.isdecimal()]",
        ("tests/streams/test_outbox.py", "tests/streams/test_user_shell_outbox.py"),
    ),
    Planted(
        "15 remembered event ids in a user's record instead of 16",
        _FOLD,
        "user.recent_events[applied % len(user.recent_events)] = event.event",
        "user.recent_events[applied % (len(user.recent_events) - 1)] = event.event",
        _FOLD_TESTS,
    ),
    Planted(
        "ids of impressions are not looked at",
        "streams/deduplication_loops.py",
        "or _is_remembered(shown, ",
        "or False and _is_remembered(shown, ",
        ("tests/streams/test_deduplication.py", "tests/streams/test_deduplication_loops.py"),
    ),
    Planted(
        "one id fewer is remembered whatever the time is",
        "streams/deduplication_loops.py",
        "return age <= limits.floor or",
        "return age < limits.floor or",
        ("tests/streams/test_deduplication.py", "tests/streams/test_deduplication_loops.py"),
    ),
    Planted(
        "an event that was sent before an erasure counts by its clock",
        "streams/screening.py",
        'gone = is_forgotten(users["erased_ts_ms"][events["user"]], ts_ms, events["log_ts_ms"])',
        'gone = is_forgotten(users["erased_ts_ms"][events["user"]], ts_ms, ts_ms)',
        ("tests/streams/test_screening.py", "tests/streams/test_erasures.py"),
    ),
    Planted(
        "a position at the end of its log is taken for one of another log",
        "streams/start_offsets.py",
        "if position > (ends.get(tp) or 0)]",
        "if position >= (ends.get(tp) or 0)]",
        ("tests/streams/test_start_offsets.py",),
    ),
    Planted(
        "a position that moved is called one of another log",
        "streams/start_offsets.py",
        "    if position != first:\n",
        "    if False:\n",
        ("tests/streams/test_start_offsets.py",),
    ),
    # --- the store ---
    Planted(
        "a chunk of arguments is cut two short",
        "streams/scripts/apply.lua",
        "math.min(start + CHUNK - 1, #arguments)",
        "math.min(start + CHUNK - 3, #arguments)",
        ("tests/streams/test_apply_script.py",),
    ),
    Planted(
        "any position is taken for the expected one",
        "streams/scripts/apply.lua",
        "if found ~= expected then",
        "if false then",
        ("tests/streams/test_apply_script.py",),
    ),
    Planted(
        "the position is written in a call of its own, before the state",
        "streams/store.py",
        "        found = await self._evaluate(calls)\n        unknown",
        """
        for call in calls:
            there = int(await self._client.hget(call.move.key, "next") or NO_POSITION)
            if there == call.move.expected:
                call.arguments[0] = call.move.position["next"]
                await self._client.hset(call.move.key, "next", call.arguments[0])
        found = await self._evaluate(calls)
        for row, call in enumerate(calls):
            found[row] = call.move.expected if found[row] == call.arguments[0] else found[row]
        unknown""",
        ("tests/streams/test_store.py", "tests/streams/test_apply_script.py"),
    ),
    Planted(
        "a write to a partition of another worker is taken for done",
        "streams/store.py",
        "            if position != call.move.expected:\n"
        "                raise PositionError(call.move.key, position, call.move.expected)\n",
        "",
        ("tests/streams/test_store.py",),
    ),
    # --- the joiner ---
    Planted(
        "outcomes that come twice count twice",
        "streams/joiner.py",
        'fresh = rows[rows["offset"] >= self.passed]',
        "fresh = rows",
        ("tests/streams/test_joiner.py",),
    ),
    Planted(
        "the offset that was passed is off by one",
        "streams/joiner.py",
        'passed = max(passed, int(fresh["offset"].max()) + 1)',
        'passed = max(passed, int(fresh["offset"].max()))',
        ("tests/streams/test_joiner.py", "tests/streams/test_joiner_replay.py"),
    ),
    Planted(
        "an erased person's waiting answers stay",
        "streams/joiner.py",
        "        for user_id in told.erased:\n            self._erase(user_id)\n",
        "",
        ("tests/streams/test_joiner.py",),
    ),
    # --- the folds' maths ---
    Planted(
        "the centre of a trend's bucket is taken for its start",
        "online_models/maths/trending.py",
        "(bucket * width + width // 2)",
        "(bucket * width)",
        ("tests/online_models/maths/test_trending.py",),
    ),
    Planted(
        "clicks beyond the impressions are evidence of a rate",
        "online_models/maths/bandit.py",
        "clicked = np.minimum(np.asarray(clicks, np.float64), shown)",
        "clicked = np.asarray(clicks, np.float64)",
        ("tests/online_models/maths/test_bandit.py",),
    ),
    Planted(
        "equal scores are taken in any order",
        "online_models/maths/topk.py",
        "equal = np.flatnonzero(values == threshold)[: k - len(above)]",
        "equal = np.flatnonzero(values == threshold)[::-1][: k - len(above)]",
        ("tests/online_models/maths/test_topk.py",),
    ),
    Planted(
        "diversity looks at the last item taken alone",
        "online_models/maths/mmr.py",
        "np.maximum(nearest, similarity, out=nearest)",
        "np.copyto(nearest, similarity)",
        ("tests/online_models/maths/test_mmr.py",),
    ),
    # --- serving ---
    Planted(
        "a rejected item is filtered like a seen one, or not at all",
        "serving/filters.py",
        "    passes &= wanted(moment.table, union.rows, moment.profile)\n",
        "",
        ("tests/serving/test_filters.py", "tests/serving/test_rejections.py"),
    ),
    Planted(
        "a withdrawn item is offered",
        "serving/filters.py",
        "passes = moment.table.offered[union.rows] & asked_for(moment.table, union.rows, query)",
        "passes = asked_for(moment.table, union.rows, query)",
        ("tests/serving/test_filters.py", "tests/serving/test_pipeline.py"),
    ),
    Planted(
        "every drawn slot is logged with the propensity of a fixed one",
        "serving/explore.py",
        "    slots.propensities[positions] = propensities\n",
        "",
        ("tests/serving/test_explore.py",),
    ),
    Planted(
        "an item that is drawn may already have a place",
        "serving/explore.py",
        "    free[placed] = False\n",
        "",
        ("tests/serving/test_explore.py",),
    ),
    Planted(
        "a negative task raises a score",
        "serving/ranking.py",
        "kept = 1 - settings.value_negative * probabilities[:, NEGATIVE]",
        "kept = 1 - settings.value_negative * (1 - probabilities[:, NEGATIVE])",
        ("tests/serving/test_ranking.py",),
    ),
    Planted(
        "a client has its candidates ordered by what comes next",
        "serving/ranking.py",
        "slate_probabilities(predicted) if as_slate else",
        "predicted[:, :SLATE] if as_slate else",
        ("tests/serving/test_ranking.py",),
    ),
    Planted(
        "a slate head is kept where the click orders slates better",
        "online_models/training/slate_head.py",
        "gains = mine - theirs",
        "gains = theirs - mine",
        ("tests/online_models/training/test_slate_head.py",),
    ),
    Planted(
        "clicks are learned as if they were on another item of the slate",
        "online_models/training/slate_loss.py",
        "return -(log_shares[clicked]).mean()",
        "return -(log_shares[clicked.roll(1, 0)]).mean()",
        ("tests/online_models/training/test_slate_loss.py",),
    ),
    Planted(
        "the graph of a ranker ignores the slate head",
        "online_models/training/slate_graph.py",
        "_click() if head is None else _head(head, features.name)",
        "_click()",
        ("tests/online_models/training/test_slate_graph.py",),
    ),
    Planted(
        "a rank that no source gave counts as the best",
        "online_models/features.py",
        "return np.asarray(np.where(source_ranks >= 0, weighted, 0).sum(axis=1))",
        "return np.asarray(weighted.sum(axis=1))",
        ("tests/online_models/test_features.py", "tests/serving/sources/test_gather.py"),
    ),
    Planted(
        "changes that were missed are not loaded again",
        "serving/change_follower.py",
        '        if missed:\n            await self.load("gap")\n            return\n',
        "",
        ("tests/serving/test_change_follower.py",),
    ),
    Planted(
        "an answer of Redis older than an erasure is remembered",
        "serving/user_state.py",
        "if forgotten == self._forgotten:",
        "if True:",
        ("tests/serving/test_user_state.py",),
    ),
    # --- the registry ---
    Planted(
        "a version in use may be removed",
        "online_models/artifacts/registry.py",
        "if version in used[:2]:",
        "if version in used[:1]:",
        ("tests/online_models/artifacts/test_registry.py",),
    ),
    Planted(
        "going back skips the version before",
        "online_models/artifacts/registry.py",
        "self._point_at(used[used.index(version) :])",
        "self._point_at(used[used.index(version) + 1 :])",
        ("tests/online_models/artifacts/test_registry.py",),
    ),
)
