"""What the ranker is shown of each candidate, and the order it gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from freshet.core.events.schema import Item
from freshet.core.settings import Settings
from online_models.features import FEATURES, Candidates, compute_features
from online_models.tasks import COLUMNS, NEGATIVE, SLATE, TASKS
from serving import ranking
from serving.answer import Query, RankQuery
from serving.filters import keep
from serving.moment import hydrate
from serving.pipeline import rank_items
from serving.ranking import (
    Ranked,
    rank,
    rerank,
    slate_probabilities,
    task_scores,
    task_weights,
)
from serving.sources.gather import gather

NOW_MS = 1_763_800_000_000


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Candidates]:
    """What the ranker was shown, request by request."""
    shown: list[Candidates] = []

    def spy(candidates: Candidates) -> Any:
        shown.append(candidates)
        return compute_features(candidates)

    monkeypatch.setattr(ranking, "compute_features", spy)
    return shown


async def ranked_for(state: Any, user_id: str) -> Ranked:
    moment, query = await hydrate(state, user_id, None), Query(user=user_id)
    return rank(moment, keep(moment, gather(moment, query), query))


async def test_the_ranker_is_shown_what_is_known_of_each_item(
    state: Any, users: Any, shown: list[Candidates]
) -> None:
    """Every column belongs to the row of its candidate."""
    users.act("ann", "item-5", ts_ms=NOW_MS - 7_000)
    table = state.items.table
    table.offer([Item(item_id="young", categories=["garden"], created_ts_ms=NOW_MS - 3_600_000)])
    state.items.refresh()
    ranked = await ranked_for(state, "ann")
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
        assert candidates.category_affinity[index] == (entry.categories == ["garden"])
    young = ranked.union.rows.tolist().index(table.row("young"))
    assert candidates.item_age_s[young] == 3_600
    assert candidates.last_event_age_s[young] == 3_600  # nobody has acted on it
    old = ranked.union.rows.tolist().index(table.row("item-0"))
    assert candidates.item_age_s[old] == 100 * 86_400
    assert candidates.last_event_age_s[old] == 0
    popularity = np.log1p(table.interactions[table.row("item-5")])
    assert candidates.history_popularity == pytest.approx(popularity)


async def test_what_was_acted_on_last_is_told_by_its_age(
    state: Any, shown: list[Candidates]
) -> None:
    """In seconds before the request; an item with neither event nor creation is of age 0."""
    table = state.items.table
    table.last_ts_ms[table.row("item-2")] = NOW_MS - 90_000
    table.offer([Item(item_id="silent")])
    state.items.refresh()
    rows = (await ranked_for(state, "nobody")).union.rows
    ages_s = dict(zip(rows.tolist(), shown[0].last_event_age_s.tolist(), strict=True))
    assert ages_s[table.row("item-2")] == 90
    assert ages_s[table.row("item-3")] == 0
    assert ages_s[table.row("silent")] == 0
    assert shown[0].history_popularity == 0


async def test_an_item_of_two_categories_is_half_way_to_either(
    state: Any, users: Any, shown: list[Candidates]
) -> None:
    """A cosine: 1 for the category of the history alone, 1 / sqrt(2) with another beside it."""
    table = state.items.table
    table.offer([Item(item_id="item-0", categories=["garden", "sport"])])
    users.act("ann", "item-5")  # of the garden
    rows = (await ranked_for(state, "ann")).union.rows
    affinity = dict(zip(rows.tolist(), shown[0].category_affinity.tolist(), strict=True))
    assert affinity[table.row("item-10")] == pytest.approx(1)
    assert affinity[table.row("item-0")] == pytest.approx(1 / np.sqrt(2))
    assert affinity[table.row("item-1")] == 0


async def test_the_re_ranked_list_begins_with_the_best(state: Any) -> None:
    """And holds no candidate twice, at most as many as there are."""
    moment = await hydrate(state, "nobody", None)
    ranked = await ranked_for(state, "nobody")
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

    def foreseen(_: object, features: Any) -> Any:
        nonsense = np.linspace(0, 1, len(features), dtype=np.float32)[:, None] * [1, 0.5, 0.5, 0.5]
        nonsense[::2] = np.nan
        return nonsense

    monkeypatch.setattr(type(state.live.current.bundle), "probabilities", foreseen)
    ranked = rank(moment, union)
    assert np.isfinite(ranked.scores[rerank(moment, ranked, 5)]).all()


@pytest.mark.parametrize("valued", TASKS[:NEGATIVE])
async def test_the_order_follows_what_the_installation_values(
    state: Any, monkeypatch: pytest.MonkeyPatch, valued: str
) -> None:
    """With nothing set, clicks alone: their order and their probabilities."""
    foreseen = np.random.default_rng(0).random((1_000, len(TASKS))).astype(np.float32)
    monkeypatch.setattr(
        type(state.live.current.bundle), "probabilities", lambda _, given: foreseen[: len(given)]
    )
    values = {} if valued == "click" else {f"value_{valued}": 1_000.0}
    values["value_negative"] = 0.0
    valuing = replace(state, settings=msgspec.structs.replace(state.settings, **values))
    scores = (await ranked_for(valuing, "nobody")).scores
    column = foreseen[: len(scores), TASKS.index(valued)]
    if valued == "click":
        assert np.array_equal(scores, column)
    assert scores == pytest.approx(column, abs=2e-3)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_score_weighs_the_tasks_by_their_values() -> None:
    """A click is worth 1, and the whole is still a probability."""
    weights = task_weights(Settings(value_dwell=0.5, value_conversion=2.5))
    assert weights.tolist() == pytest.approx([0.25, 0.125, 0.625, 0])
    assert task_weights(Settings()).tolist() == [1, 0, 0, 0]


async def test_the_ranker_is_shown_what_speaks_against_each_item(
    state: Any, users: Any, shown: list[Candidates]
) -> None:
    """By category and by vector, beside how many rejections there are; hides are no history."""
    users.act("ann", "item-5", kind="hide")
    users.act("ann", "item-10", kind="report")
    users.act("ann", "item-1")
    ranked = await ranked_for(state, "ann")
    (candidates,) = shown
    assert (candidates.history_length, candidates.rejections) == (1, 2)
    table, profile = state.items.table, (await hydrate(state, "ann", None)).profile
    rows = ranked.union.rows
    by_vector = profile.aversion.to_vectors(state.live.current, rows)
    np.testing.assert_allclose(candidates.vector_aversion, by_vector, atol=1e-5)
    for index, row in enumerate(rows.tolist()):
        expected = 3 if table.entries[row].categories == ["garden"] else 0
        assert candidates.category_aversion[index] == pytest.approx(expected, abs=1e-3)
    assert ranked.features is not None
    column = ranked.features[:, FEATURES.index("category_aversion")]
    np.testing.assert_allclose(column, np.log1p(candidates.category_aversion), atol=1e-4)


@pytest.mark.parametrize("with_model", [True, False])
async def test_what_is_like_the_rejected_is_lowered_by_its_factor(
    state: Any, users: Any, monkeypatch: pytest.MonkeyPatch, with_model: bool
) -> None:
    """Before any choice is made; with a weight of 0 the scores are those of before."""
    if not with_model:
        state.live.current = None
    else:
        foreseen = np.linspace(1, 0.1, 1_000, dtype=np.float32)[:, None] * np.ones(
            len(TASKS), np.float32
        )
        monkeypatch.setattr(
            type(state.live.current.bundle),
            "probabilities",
            lambda _, given: foreseen[: len(given)],
        )
    for number in range(6):
        users.act("ann", f"item-{5 * number}", kind="hide")
    off = replace(state, settings=msgspec.structs.replace(state.settings, rejection_weight=0.0))
    plain, lowered = await ranked_for(off, "ann"), await ranked_for(state, "ann")
    assert plain.union.rows.tolist() == lowered.union.rows.tolist()
    assert plain.factors.tolist() == [1] * len(plain.union)
    table = state.items.table
    garden = table.in_categories(lowered.union.rows, ["garden"])
    assert (lowered.factors[garden] < 0.02).all()
    assert lowered.by_ranker == with_model
    np.testing.assert_allclose(lowered.scores, plain.scores * lowered.factors, rtol=1e-4)
    if not with_model:
        assert (lowered.factors[~garden] == 1).all()


async def test_who_rejected_nothing_is_ranked_to_the_last_bit_as_before(
    state: Any, users: Any
) -> None:
    """The scores are the ranker's own."""
    users.act("ann", "item-1")
    ranked = await ranked_for(state, "ann")
    bundle = state.live.current.bundle
    own = task_scores(bundle.probabilities(ranked.features)[:, :SLATE], state.settings)
    assert ranked.scores.tobytes() == own.astype(np.float32).tobytes()


async def test_failing_aversion_leaves_the_scores(
    state: Any, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is said; what was rejected itself stays out."""

    def broken(*_: object) -> Any:
        raise RuntimeError("broken on purpose")

    users.act("ann", "item-0", kind="hide")
    monkeypatch.setattr(ranking, "_aversions", broken)
    moment, query = await hydrate(state, "ann", None), Query(user="ann")
    ranked = rank(moment, keep(moment, gather(moment, query), query))
    assert moment.stages.degraded == ["aversion"]
    assert ranked.factors.tolist() == [1] * len(ranked.union)
    assert state.items.table.row("item-0") not in ranked.union.rows


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_what_would_be_rejected_loses_a_share_of_its_score(value: float) -> None:
    """From nothing to the value, in proportion; nothing is below 0, and nothing without an end."""
    rejected = np.linspace(0, 1, 11, dtype=np.float32)
    probabilities = np.full((11, len(TASKS)), 0.3, np.float32)
    probabilities[:, NEGATIVE] = rejected
    scores = task_scores(probabilities, Settings(value_negative=value))
    assert scores == pytest.approx(0.3 * (1 - value * rejected), abs=1e-6)
    assert (scores >= 0).all()
    assert np.isfinite(np.log(np.maximum(scores, np.finfo(np.float32).tiny))).all()


def test_by_default_of_two_alike_the_one_that_is_rejected_more_comes_last() -> None:
    """Though it is clicked on a little more often."""
    alike = np.array([[0.20, 0, 0, 0.0], [0.22, 0, 0, 0.4]], np.float32)
    scores = task_scores(alike, Settings())
    assert scores[0] > scores[1] > 0


@pytest.fixture
def contrary(state: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The state, whose slate column orders items contrary to the click column."""

    def foreseen(_: object, features: Any) -> Any:
        found = np.zeros((len(features), len(COLUMNS)), np.float32)
        found[:, 0] = np.linspace(0.1, 0.3, len(features))
        found[:, SLATE] = np.linspace(0.9, 0.1, len(features))
        return found

    monkeypatch.setattr(type(state.live.current.bundle), "probabilities", foreseen)
    return state


async def test_a_client_has_its_candidates_ordered_as_a_slate(contrary: Any) -> None:
    """By the slate column, and as many clicks are promised as by the click column."""
    items = [f"item-{number}" for number in range(5, 11)]
    query = RankQuery(user="nobody", items=items)
    answer = (await rank_items(contrary, query, "r1")).answer
    rows = [contrary.items.table.row(item.item_id) for item in answer.items]
    assert rows == sorted(rows)
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(np.linspace(0.1, 0.3, 6).sum(), rel=1e-4)


async def test_a_list_of_the_own_candidates_is_ordered_by_what_comes_next(contrary: Any) -> None:
    """Whatever the slate column says."""
    ranked = await ranked_for(contrary, "nobody")
    assert (np.diff(ranked.scores) > 0).all()


def test_the_slate_column_changes_the_click_and_what_follows_it() -> None:
    """What is predicted given a click stays, and so do rejections; the fast one as the slow one."""
    predicted = np.random.default_rng(0).random((40, len(COLUMNS))).astype(np.float32)
    predicted[:, 1:3] *= predicted[:, :1]
    found = slate_probabilities(predicted)
    assert np.argsort(found[:, 0]).tolist() == np.argsort(predicted[:, SLATE]).tolist()
    assert found[:, 0].sum() == pytest.approx(predicted[:, 0].sum(), rel=1e-5)
    for row, before in zip(found, predicted, strict=True):
        assert row[1:3] / row[0] == pytest.approx(before[1:3] / before[0], rel=1e-4)
        assert row[NEGATIVE] == before[NEGATIVE]


@pytest.mark.parametrize("n", [0, 1, 7])
def test_without_a_slate_head_the_click_stays_to_the_last_bit(n: int) -> None:
    """Then the columns are the same."""
    predicted = np.random.default_rng(n).random((n, len(COLUMNS))).astype(np.float32)
    predicted[:, SLATE] = predicted[:, 0]
    assert np.array_equal(slate_probabilities(predicted), predicted[:, :SLATE])


def test_what_is_never_clicked_stays_finite() -> None:
    """Clicks of probability 0, some or all, as a graph that failed says."""
    for clicks in ([0.0, 0.0], [0.0, 0.2], [1.0, 1.0]):
        predicted = np.zeros((2, len(COLUMNS)), np.float32)
        predicted[:, 0], predicted[:, SLATE] = clicks, [0.0, 1.0]
        found = slate_probabilities(predicted)
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()
