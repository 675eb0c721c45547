"""Features: one definition, finite, and relative to the request."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.state.records import TREND_HALF_LIVES_S
from online_models.features import (
    FEATURE_LIMIT,
    FEATURES,
    SOURCES,
    Candidates,
    compute_features,
    fused_ranks,
)


def some_candidates(n: int, seed: int, scale: float = 1.0) -> Candidates:
    rng = np.random.default_rng(seed)

    def draw(low: float, high: float, *shape: int) -> np.ndarray:
        return (rng.uniform(low, high, shape or n)).astype(np.float32)

    return Candidates(
        source_scores=draw(-scale, scale, n, len(SOURCES)),
        source_ranks=rng.integers(-1, 400, (n, len(SOURCES))),
        trend=draw(0, scale, n, len(TREND_HALF_LIVES_S)),
        interactions=draw(0, 1e6 * scale),
        impressions=draw(0, 1e6 * scale),
        clicks=draw(0, 1e6 * scale),
        item_age_s=draw(-10, 1e8 * scale),
        last_event_age_s=draw(-10, 1e8 * scale),
        session_similarity=draw(-1, 1),
        encoder_similarity=draw(-1, 1),
        last_item_similarity=draw(-1, 1),
        category_overlap=draw(0, 1),
        category_affinity=draw(0, 1),
        category_aversion=draw(0, 10 * scale),
        vector_aversion=draw(0, 10 * scale),
        past_times=draw(0, 50),
        history_popularity=float(rng.uniform(0, 20)),
        history_length=int(rng.integers(0, 51)),
        past_length=int(rng.integers(0, 1000)),
        rejections=int(rng.integers(0, 501)),
        idle_s=float(rng.uniform(0, 1e7)),
    )


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, FEATURES.index(name)]


@given(st.integers(0, 40), st.integers(0, 2**32), st.sampled_from([0.0, 1e-6, 1.0, 1e12]))
def test_features_are_finite_whatever_the_magnitudes(n: int, seed: int, scale: float) -> None:
    """None, one and many candidates; all alike; absurdly large."""
    features = compute_features(some_candidates(n, seed, scale))
    assert features.shape == (n, len(FEATURES))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max(initial=0) <= FEATURE_LIMIT


def test_names_are_distinct() -> None:
    """A name is a column."""
    assert len(set(FEATURES)) == len(FEATURES)


@given(st.integers(1, 30), st.integers(0, 2**32))
def test_a_candidate_does_not_depend_on_the_order_of_the_others(n: int, seed: int) -> None:
    """Shuffling the rows shuffles the features."""
    candidates = some_candidates(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    shuffled = dataclasses.replace(
        candidates,
        **{
            name: getattr(candidates, name)[order]
            for name in candidates.__slots__
            if isinstance(getattr(candidates, name), np.ndarray)
        },
    )
    np.testing.assert_allclose(
        compute_features(shuffled), compute_features(candidates)[order], atol=2e-3
    )


@given(st.integers(2, 30), st.integers(0, 2**32))
def test_z_scores_compare_within_the_request(n: int, seed: int) -> None:
    """Mean 0 and deviation 1, or all 0 where the candidates do not differ."""
    features = compute_features(some_candidates(n, seed)).astype(np.float64)
    for name in FEATURES:
        if name.endswith("_z") and not name.endswith("_score_z"):
            values = column(features, name)
            assert values.mean() == pytest.approx(0, abs=1e-3)
            assert values.std() == pytest.approx(1, abs=1e-2) or not values.any()


def test_what_all_candidates_share_is_no_difference() -> None:
    """A busier hour or an older catalogue leaves the order of a request alone."""
    quiet = some_candidates(20, 7)
    older = dataclasses.replace(quiet, item_age_s=np.full(20, 1e7, np.float32))
    newer = dataclasses.replace(quiet, item_age_s=np.full(20, 10.0, np.float32))
    for candidates in (older, newer):
        assert not column(compute_features(candidates), "age_z").any()


def test_a_source_that_did_not_find_an_item_says_nothing_of_it() -> None:
    """Whatever stands in its score."""
    candidates = some_candidates(3, 1)
    ranks = candidates.source_ranks.copy()
    ranks[:, 0] = [0, -1, 7]
    scores = candidates.source_scores.copy()
    scores[:, 0] = [0.9, 1e9, 0.1]
    features = compute_features(
        dataclasses.replace(candidates, source_ranks=ranks, source_scores=scores)
    )
    assert column(features, f"{SOURCES[0]}_score_z").tolist() == [1, 0, -1]
    assert column(features, f"{SOURCES[0]}_closeness")[:2].tolist() == [1, 0]


@pytest.mark.parametrize("source", ["covisitation", "transitions", "neighbours", "past"])
def test_evidence_is_told_by_its_magnitude(source: str) -> None:
    """On a log scale from about one in a hundred; 0 where the source found nothing."""
    candidates = some_candidates(4, 2)
    scores, ranks = candidates.source_scores.copy(), candidates.source_ranks.copy()
    place = SOURCES.index(source)
    scores[:, place] = [1.0, 0.01, 1e-9, 1.0]
    ranks[:, place] = [0, 1, 2, -1]
    features = compute_features(
        dataclasses.replace(candidates, source_scores=scores, source_ranks=ranks)
    )
    expected = [np.log(101), np.log(2), 0, 0]
    assert column(features, f"{source}_magnitude").tolist() == pytest.approx(expected, abs=1e-5)


def test_the_popularity_gap_is_that_to_the_items_of_the_history() -> None:
    """Above 0 for an item that is more popular than what the user acts on."""
    candidates = dataclasses.replace(
        some_candidates(3, 5),
        interactions=np.array([0, 9, 999], np.float32),
        history_popularity=float(np.log1p(9)),
    )
    gaps = column(compute_features(candidates), "popularity_gap")
    assert gaps.tolist() == pytest.approx([-np.log(10), 0, np.log(100)], abs=1e-5)


def test_the_age_of_the_last_event_is_told_in_minutes() -> None:
    """On a log scale; a clock that is ahead counts as now."""
    ages_s = np.array([0, 60, -5], np.float32)
    candidates = dataclasses.replace(some_candidates(3, 5), last_event_age_s=ages_s)
    ages = column(compute_features(candidates), "last_event_age")
    assert ages.tolist() == pytest.approx([0, np.log(2), 0], abs=1e-6)


def test_clicks_that_no_impression_explains_are_no_rate() -> None:
    """In a log of clicks alone, the click rate tells nobody apart."""
    candidates = some_candidates(5, 3)
    silent = dataclasses.replace(candidates, impressions=np.zeros(5, np.float32))
    assert len(set(column(compute_features(silent), "click_rate").tolist())) == 1


def test_arrays_that_disagree_are_refused() -> None:
    """The sentence names the array."""
    candidates = some_candidates(4, 0)
    with pytest.raises(ValueError, match=r"clicks has shape \(3,\), expected \(4,\)"):
        dataclasses.replace(candidates, clicks=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="category_affinity has shape"):
        dataclasses.replace(candidates, category_affinity=np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="trend has shape"):
        dataclasses.replace(candidates, trend=np.zeros((4, 1), np.float32))


def test_two_sources_outweigh_one() -> None:
    """Fusion rewards agreement, and a better rank."""
    absent = [-1] * (len(SOURCES) - 2)
    ranks = np.array([[3, 3, *absent], [3, -1, *absent], [0, -1, *absent], [-1, -1, *absent]])
    fused = fused_ranks(ranks)
    assert np.argsort(-fused).tolist() == [0, 2, 1, 3]
    assert fused[3] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session_similarity", 0.11),
        ("encoder_similarity", 0.12),
        ("last_item_similarity", 0.13),
        ("category_overlap", 0.14),
        ("category_affinity", 0.15),
        ("category_aversion", 0.16),
        ("vector_aversion", 0.17),
        ("past_times", 3.0),
        ("interactions", 18.0),
        ("impressions", 19.0),
    ],
)
def test_each_feature_stands_in_the_column_of_its_name(name: str, value: float) -> None:
    """What is changed is that column and what is made of it; evidence is on a log scale."""
    zero = dataclasses.replace(some_candidates(3, 4), **{name: np.zeros(3, np.float32)})
    changed = dataclasses.replace(zero, **{name: np.array([value, 0, 0], np.float32)})
    before, after = compute_features(zero), compute_features(changed)
    logged = not name.startswith(("session", "encoder", "last_item", "category_o", "category_af"))
    expected = np.log1p(value) if logged else value
    assert column(before, name).tolist() == [0, 0, 0]
    assert column(after, name).tolist() == pytest.approx([expected, 0, 0], rel=1e-5)
    moved = {FEATURES[at] for at in np.flatnonzero((before != after).any(axis=0))}
    made_of_it = {
        "interactions": {"popularity_gap", "popularity_gap_z"},
        "impressions": {"click_rate", "click_rate_z"},
    }
    assert moved == {name, f"{name}_z"} | made_of_it.get(name, set())


@pytest.mark.parametrize(
    ("field", "name", "value", "expected"),
    [
        ("history_length", "history_length", 7, np.log(8)),
        ("past_length", "past_length", 30, np.log(31)),
        ("rejections", "rejections", 6, np.log(7)),
        ("idle_s", "idle", 120.0, np.log(3)),
        ("idle_s", "idle", -5.0, 0.0),
    ],
)
def test_what_a_request_is_about_is_the_same_for_all_its_candidates(
    field: str, name: str, value: float, expected: float
) -> None:
    """On a log scale, each in the column of its name."""
    features = compute_features(dataclasses.replace(some_candidates(3, 4), **{field: value}))
    assert column(features, name).tolist() == pytest.approx([expected] * 3, rel=1e-5)
