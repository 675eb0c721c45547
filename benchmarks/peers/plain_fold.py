"""The naive fold: one event into Redis' own types, a handful of commands on a pipeline.

The state is that of the worker in its simplest form: history, counts, item counters, trending and
transitions. There is no position, so it is at least once at best. All peers fold by this function,
each in its own environment: it imports nothing.
"""

from __future__ import annotations

from typing import Any

APPLIED_KEY = "plain:applied"
TREND_BUCKET_MS = 75_000
HISTORY_LENGTH = 50
VISITS = {"click", "view", "cart", "purchase", "rating"}


def fold_event(
    pipe: Any,
    kind: str,
    user_id: str,
    item_id: str,
    ts_ms: int,
    last_visit: dict[str, str],
) -> None:
    """Put the commands of one event on the pipeline.

    Args:
        pipe: a pipeline of redis-py, of either kind.
        kind: type of the event.
        user_id: whose event it is.
        item_id: what it is about.
        ts_ms: event time.
        last_visit: item that each user visited last; changed.
    """
    user, item = f"plain:u:{user_id}", f"plain:i:{item_id}"
    pipe.hincrby(user, kind, 1)
    pipe.hincrby(item, kind, 1)
    if kind == "impression":
        return
    pipe.lpush(f"{user}:history", f"{item_id} {kind} {ts_ms}")
    pipe.ltrim(f"{user}:history", 0, HISTORY_LENGTH - 1)
    pipe.zincrby(f"plain:trend:{ts_ms // TREND_BUCKET_MS}", 1, item_id)
    if kind in VISITS:
        previous = last_visit.get(user_id)
        if previous is not None:
            pipe.zincrby(f"plain:next:{previous}", 1, item_id)
        last_visit[user_id] = item_id


def fold_json(pipe: Any, event: dict[str, Any], last_visit: dict[str, str]) -> None:
    """Put the commands of an event on the pipeline that came out of a JSON decoder."""
    fold_event(pipe, event["type"], event["user_id"], event["item_id"], event["ts_ms"], last_visit)
