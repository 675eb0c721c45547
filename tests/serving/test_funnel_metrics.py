"""What the funnel did is counted once, by whoever answers a person; the funnel counts nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from freshet.core.errors import RequestError
from freshet.core.settings import Settings
from online_models.features import SOURCES
from serving.answer import Query, RankQuery
from serving.funnel_metrics import counted_stages
from serving.moment import State
from serving.pipeline import rank_items, recommend
from serving.sources import gather as gathering

FUNNEL = ("freshet_recommendations", "freshet_stage", "freshet_candidates", "freshet_slots")


def samples(prefix: str | tuple[str, ...] = "freshet_") -> dict[str, float]:
    """Return every series that is not zero, but for its time of creation."""
    return {
        f"{each.name}{sorted(each.labels.items())}": each.value
        for family in REGISTRY.collect()
        for each in family.samples
        if each.name.startswith(prefix) and not each.name.endswith("_created") and each.value
    }


def moved(before: dict[str, float], after: dict[str, float], name: str) -> dict[str, float]:
    """Return by how much each series of a name moved."""
    return {
        key: after[key] - before.get(key, 0)
        for key in after
        if key.startswith(name) and after[key] != before.get(key, 0)
    }


async def test_the_funnel_counts_nothing(
    state: State, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it does: a list, an order, a stage that fails, a request that nothing passes."""
    users.act("ann", "item-3")
    before = samples()
    await recommend(state, Query(user="ann"), "r", np.random.default_rng(0))
    await rank_items(state, RankQuery(user="ann", items=["item-1"]), "r")
    monkeypatch.setattr(gathering, "find_trending", lambda *_: 1 // 0)
    await recommend(state, Query(user="ann"), "r", np.random.default_rng(0))
    users.down = True
    await recommend(state, Query(user="ann"), "r", np.random.default_rng(0))
    query = Query(user="ann", categories=["no such category"])
    with pytest.raises(RequestError):
        await recommend(state, query, "r", np.random.default_rng(0))
    assert samples() == before


@pytest.mark.parametrize("path", ["recommendations", "rank"])
def test_an_answer_moves_each_counter_exactly_once(client: Any, path: str) -> None:
    """The quality once, each stage once, each slot once, and the candidates as found."""
    body = {"user": "ann", **({"items": ["item-1", "item-2"]} if path == "rank" else {"k": 7})}
    before = samples(FUNNEL)
    answer = client.post(f"/v1/{path}", json=body).json()
    after = samples(FUNNEL)
    assert list(moved(before, after, "freshet_recommendations_total").values()) == [1]
    stages = moved(before, after, "freshet_stage_duration_seconds_count")
    assert len(stages) > len(SOURCES)
    assert set(stages.values()) == {1}
    slots = moved(before, after, "freshet_slots_served_total")
    assert sum(slots.values()) == len(answer["items"]) == (2 if path == "rank" else 7)
    found = moved(before, after, "freshet_candidates_total")
    assert found["freshet_candidates_total[('source', 'popular')]"] == 80  # the whole catalogue
    assert not moved(before, after, "freshet_stage_failures_total")


def test_a_failure_is_counted_once_also_where_no_list_comes_of_it(
    client: Any, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source and the user's state fail; the answer is a list, and then a refusal."""
    monkeypatch.setattr(gathering, "find_trending", lambda *_: 1 // 0)
    users.down = True
    for query, status in (("", 200), ("&categories=none", 422)):
        before = samples(FUNNEL)
        assert client.get(f"/v1/recommendations?user=ann{query}").status_code == status
        assert moved(before, samples(FUNNEL), "freshet_stage_failures_total") == {
            "freshet_stage_failures_total[('reason', 'error'), ('stage', 'trending')]": 1,
            "freshet_stage_failures_total[('reason', 'error'), ('stage', 'hydrate')]": 1,
        }
        answered = moved(before, samples(FUNNEL), "freshet_recommendations_total")
        assert len(answered) == (status == 200)


def test_a_stage_that_was_not_reached_is_not_counted() -> None:
    """An error before the first stage leaves everything as it was."""
    before = samples(FUNNEL)
    with pytest.raises(ZeroDivisionError), counted_stages(Settings()):
        raise ZeroDivisionError
    assert samples(FUNNEL) == before
