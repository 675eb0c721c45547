"""What the ranker is shown of each candidate, and the order it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import Item
from online_models.features import FEATURES, Candidates
from serving import ranking
from serving.answer import Query
from serving.filters import keep
from serving.moment import hydrate
from serving.ranking import rank, rerank
from serving.sources.gather import gather

NOW_MS = 1_763_800_000_000


async def test_the_ranker_is_shown_what_is_known_of_each_item(
    state: Any, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every column belongs to the row of its candidate."""
    users.act("ann", "item-5", ts_ms=NOW_MS - 7_000)
    table = state.items.table
    table.offer([Item(item_id="young", categories=["garden"], created_ts_ms=NOW_MS - 3_600_000)])
    state.items.refresh()
    shown: list[Candidates] = []
    compute = ranking.compute_features
    monkeypatch.setattr(ranking, "compute_features", lambda c: (shown.append(c), compute(c))[1])
    moment = await hydrate(state, "ann", None)
    query = Query(user="ann")
    ranked = rank(moment, keep(moment, gather(moment, query), query))
    (candidates,) = shown
    assert ranked.features is not None
    assert ranked.features.shape == (len(ranked.union), len(FEATURES))
    assert (candidates.history_length, candidates.idle_s) == (1, 7.0)
    vectors = state.live.current.vectors
    for index, row in enumerate(ranked.union.rows.tolist()):
        assert candidates.impressions[index] == table.impressions[row].sum()
        assert candidates.clicks[index] == table.clicks[row].sum()
        assert candidates.interactions[index] == table.interactions[row]
        last = vectors[row] @ vectors[table.row("item-5")]
        assert candidates.last_item_similarity[index] == pytest.approx(last, abs=1e-5)
        entry = table.entries[row]
        assert candidates.category_overlap[index] == (entry.categories == ["garden"])
    young = ranked.union.rows.tolist().index(table.row("young"))
    assert candidates.item_age_s[young] == 3_600
    old = ranked.union.rows.tolist().index(table.row("item-0"))
    assert candidates.item_age_s[old] == 100 * 86_400


async def test_the_re_ranked_list_begins_with_the_best(state: Any) -> None:
    """And holds no candidate twice, at most as many as there are."""
    moment = await hydrate(state, "nobody", None)
    query = Query(user="nobody")
    ranked = rank(moment, keep(moment, gather(moment, query), query))
    for k in (1, 7, 100):
        order = rerank(moment, ranked, k)
        assert order[0] == ranked.scores.argmax()
        assert len(set(order.tolist())) == len(order) == min(k, len(ranked.union))


async def test_a_ranker_that_answers_nonsense_puts_it_last(
    state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that are not finite never lead a list."""
    moment = await hydrate(state, "nobody", None)
    query = Query(user="nobody")
    union = keep(moment, gather(moment, query), query)

    def scores(_: object, features: Any) -> Any:
        nonsense = np.linspace(0, 1, len(features), dtype=np.float32)
        nonsense[::2] = np.nan
        return nonsense

    monkeypatch.setattr(type(state.live.current.bundle), "rank", scores)
    ranked = rank(moment, union)
    assert np.isfinite(ranked.scores[rerank(moment, ranked, 5)]).all()
