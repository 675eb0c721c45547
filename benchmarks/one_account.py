"""What one account can do to everybody's lists: clicks, purchases, fillers and impressions of one.

People act over a day on a catalogue; then one account works for an item that nobody wanted, through
the folds, and strangers ask the funnel for their lists. Nothing of it may reach them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import numpy as np

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import Event, EventType, Item
from freshet.core.settings import Settings
from online_models.training.log import build_log
from replay.lived import LivedLog

START_TS_MS = 1_760_000_000_000
DAY_MS = 86_400_000
ATTACK_MS = 240_000
ITEMS, CLICKS, PEOPLE, STRANGERS, K = 300, 6_000, 500, 100, 20
TARGET = f"item-{ITEMS - 1}"

Act = tuple[EventType, str, float]
"""Type, item, and when in the attack it happens, from 0 to 1; before 0 is back-dated."""

_MIXED: tuple[EventType, ...] = (
    "click", "view", "dwell", "like", "cart", "purchase", "rating", "share", "follow",
)  # fmt: skip


def attacks() -> dict[str, list[Act]]:
    """Return what one account sends, by the name of the attack."""
    every = [at / 1_200 for at in range(1_200)]
    fillers = [TARGET if at % 50 == 0 else f"item-{200 + at % 50}" for at in range(1_200)]
    return {
        "clicks": [("click", TARGET, at) for at in every],
        "purchases": [("purchase", TARGET, 0.5) for _ in range(500)],
        "alternating": [
            ("click", (TARGET, f"item-{ITEMS - 2}")[row % 2], at) for row, at in enumerate(every)
        ],
        "fillers": [("click", item, at) for item, at in zip(fillers, every, strict=True)],
        "mixed_types": [(_MIXED[row % len(_MIXED)], TARGET, at) for row, at in enumerate(every)],
        "back_dated": [("purchase", TARGET, -360 * (1 - at)) for at in every],
        "transitions": [("click", (TARGET, "item-0")[row % 2], at) for row, at in enumerate(every)],
    }


@click.command()
@click.option("--window-s", default=Settings().contribution_window_s, help="0: every event counts.")
@click.option("--seed", default=0)
def main(window_s: int, seed: int) -> None:
    """Measure what one account brings an item, attack by attack."""
    settings = Settings(contribution_window_s=window_s)
    found = {name: measure(acts, settings, seed) for name, acts in attacks().items()}
    worst = {
        "trending_rank": min(each["trending_rank"] for each in found.values()),
        "popular_rank": min(each["popular_rank"] for each in found.values()),
        "strangers_lists": max(each["strangers_lists"] for each in found.values()),
    }
    sunk = sunk_click_rate(settings, seed)
    click.echo(json.dumps({**worst, "impressions_added": sunk, "window_s": window_s, "by": found}))


def measure(acts: list[Act], settings: Settings, seed: int) -> dict[str, float]:
    """Return the ranks of the target, and the share of strangers who see it among `K`.

    A rank is from 1; that of an item which is not in a list is the number of items.
    """
    life, end = _live(acts, settings, seed)
    target = item_hashes([TARGET])[0]
    seen = 0
    ranks: dict[str, int] = {}
    for stranger in range(STRANGERS):
        asked = life.ask(end + stranger, K)
        assert asked is not None
        table = asked.moment.table
        rows = asked.ranked.union.rows[asked.order].tolist()
        seen += TARGET in [table.ids[row] for row in rows]
        if not ranks:
            row = int(table.rows_of_hashes(np.array([target]))[0])
            for name in ("trending", "popular"):
                leaders = getattr(asked.moment.standings, name).rows.tolist()
                ranks[f"{name}_rank"] = leaders.index(row) + 1 if row in leaders else ITEMS
    life.close()
    return {**ranks, "strangers_lists": seen / STRANGERS}


def sunk_click_rate(settings: Settings, seed: int) -> int:
    """Return how many impressions 1,200 of one account add to a competitor, with fillers."""
    acts: list[Act] = [
        ("impression", "item-0" if at % 10 == 0 else f"item-{100 + at % 10}", at / 1_200)
        for at in range(1_200)
    ]
    life, end = _live(acts, settings, seed)
    asked = life.ask(end, K)
    assert asked is not None
    table = asked.moment.table
    added = int(table.impressions[table.rows(["item-0"])[0]].sum())
    life.close()
    return added


def _live(acts: list[Act], settings: Settings, seed: int) -> tuple[LivedLog, int]:
    """Live the people's day and the attack; return the log and the event of the first stranger."""
    items = [Item(item_id=f"item-{row}", categories=[f"c{row % 7}"]) for row in range(ITEMS)]
    past = sorted(_people(seed), key=lambda event: event.ts_ms)
    end_ms = START_TS_MS + DAY_MS
    attack = [
        _event(f"a{row}", kind, "attacker", item, end_ms + int(at * ATTACK_MS))
        for row, (kind, item, at) in enumerate(acts)
    ]
    strangers = [
        _event(f"s{row}", "click", f"stranger-{row}", "item-0", end_ms + ATTACK_MS)
        for row in range(STRANGERS)
    ]
    events = [*past, *attack, *strangers]
    log = build_log(events, items)
    order = sorted(range(len(events)), key=lambda row: events[row].ts_ms)
    life = LivedLog(log, [events[row] for row in order], settings)
    first = len(events) - STRANGERS
    life.live(first)
    return life, first


def _people(seed: int) -> Iterator[Event]:
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, ITEMS) ** 0.7  # nobody wants the last one
    items = rng.choice(ITEMS - 1, size=CLICKS, p=weights / weights.sum())
    for row, item in enumerate(items.tolist()):
        user, ts_ms = int(rng.integers(PEOPLE)), START_TS_MS + int(rng.integers(DAY_MS))
        yield _event(f"p{row}", "click", f"user-{user}", f"item-{item}", ts_ms)


def _event(event_id: str, kind: EventType, user: str, item: str, ts_ms: int, **more: Any) -> Event:
    return Event(
        event_id=event_id, type=kind, user_id=user, item_id=item, ts_ms=max(ts_ms, START_TS_MS),
        **more,
    )  # fmt: skip


if __name__ == "__main__":
    main()
