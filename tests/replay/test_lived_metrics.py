"""A replay in this process counts no metric: nobody was served, and no event was taken."""

from __future__ import annotations

import numpy as np
from prometheus_client import REGISTRY

from freshet.core.events.schema import Event, EventType
from freshet.core.settings import Settings
from online_models.training.log import build_log
from replay.lived import LivedLog

N = 300
TYPES: list[EventType] = ["click", "view", "impression"]


def values() -> dict[str, float]:
    """Return every series of ours that is not zero."""
    return {
        f"{each.name}{each.labels}": each.value
        for family in REGISTRY.collect()
        for each in family.samples
        if each.name.startswith("freshet_") and each.value
        if not each.name.endswith("_created")
    }


def test_folds_and_funnel_of_a_replay_move_no_metric() -> None:
    """They are the product's own: events, requests, and items that others chose."""
    events = [
        Event(
            event_id=f"e{number}",
            type=TYPES[number % 3],
            user_id=f"u{number % 7}",
            item_id=f"item-{number * number % 41}",
            ts_ms=1_760_000_000_000 + 1000 * number,
        )
        for number in range(N)
    ]
    replayed = LivedLog(build_log(events, []), events, Settings(candidates=30))
    before = values()
    replayed.live(N // 2)
    assert replayed.ask(N // 2, 10) is not None
    replayed.rank(N // 2, np.arange(5))
    replayed.live(N)
    replayed.close()
    assert values() == before
