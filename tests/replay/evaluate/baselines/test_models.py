"""Item kNN, iALS and EASE on counts whose answer is obvious, and against slow twins."""

import numpy as np
import pytest
import scipy.sparse

from replay.evaluate.baselines import ease, ials, item_knn
from replay.evaluate.baselines.ease import fit_ease
from replay.evaluate.baselines.ials import fit_ials
from replay.evaluate.baselines.item_knn import fit_item_knn
from replay.evaluate.baselines.retrained import Fit

FITS = [fit_item_knn, fit_ials, fit_ease]
ONE = np.array([1.0])


def random_counts(users: int = 60, items: int = 12) -> scipy.sparse.csr_matrix:
    rng = np.random.default_rng(5)
    return scipy.sparse.csr_matrix(rng.poisson(0.4, (users, items)).astype(np.float32))


@pytest.mark.parametrize("fit", FITS)
def test_what_the_same_people_visit_is_foreseen(fit: Fit) -> None:
    """Two camps of 400, each with five items of its own; a lone item is known to neither."""
    counts = np.zeros((801, 11), np.float32)
    counts[:400, :5] = counts[400:800, 5:10] = 1
    counts[800, 10] = 1
    counts[np.arange(800), np.arange(800) % 5 + 5 * (np.arange(800) >= 400)] = 0
    scores = fit(scipy.sparse.csr_matrix(counts)).scores(np.array([0]), ONE)
    assert set(np.argsort(-scores)[:5]) - {0} == {1, 2, 3, 4}
    assert scores[1:5].min() > scores[5:].max()


@pytest.mark.parametrize("fit", FITS)
def test_what_weighs_more_says_more(fit: Fit) -> None:
    """A history in both camps leans to that of the heavier item."""
    counts = np.zeros((800, 6), np.float32)
    counts[:400, :3] = counts[400:, 3:] = 1
    model = fit(scipy.sparse.csr_matrix(counts))
    scores = model.scores(np.array([0, 3]), np.array([1.0, 0.3]))
    assert scores[1:3].min() > scores[4:].max()
    scores = model.scores(np.array([0, 3]), np.array([0.3, 1.0]))
    assert scores[1:3].max() < scores[4:].min()


def test_item_knn_is_that_of_the_slow_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """BM25 of each count, inner products of the columns, the largest of each row."""
    monkeypatch.setattr(item_knn, "NEIGHBOURS", 4)
    counts = random_counts().toarray()
    users, items = counts.shape
    k1, b = item_knn.SATURATION, item_knn.LENGTH_NORM
    lengths = counts.sum(axis=1)
    weighted = np.zeros_like(counts)
    for u, i in zip(*counts.nonzero(), strict=True):
        visitors = (counts[:, i] > 0).sum()
        norm = 1 - b + b * lengths[u] / lengths.mean()
        saturated = counts[u, i] * (k1 + 1) / (k1 * norm + counts[u, i])
        weighted[u, i] = saturated * (np.log(users) - np.log1p(visitors))
    similarity = weighted.T @ weighted
    found = fit_item_knn(scipy.sparse.csr_matrix(counts))
    for i in range(items):
        largest = np.sort(similarity[i])[-4:]
        assert np.sort(found.scores(np.array([i]), ONE))[-4:] == pytest.approx(largest, rel=1e-4)
        assert (found.scores(np.array([i]), ONE) > 0).sum() == 4


def test_ials_folds_a_user_in_as_in_the_paper() -> None:
    """The weighted least squares over all items, written out."""
    model = fit_ials(random_counts())
    history, weights = np.array([2, 7]), np.array([1.0, 0.36])
    confidence = np.ones(len(model.items))
    confidence[history] = ials.CONFIDENCE * weights
    preference = np.zeros(len(model.items))
    preference[history] = 1
    y = model.items.astype(np.float64)
    left = y.T @ np.diag(confidence) @ y + ials.REGULARISATION * np.eye(ials.FACTORS)
    user = np.linalg.solve(left, y.T @ np.diag(confidence) @ preference)
    assert model.scores(history, weights) == pytest.approx(y @ user, rel=1e-3, abs=1e-5)


def test_ease_is_the_regression_of_each_item_on_the_others() -> None:
    """Ridge regression, item by item, as the paper's equation 8 says in closed form."""
    counts = random_counts()
    x = counts.toarray().astype(np.float64)
    model = fit_ease(counts)
    for j in range(x.shape[1]):
        others = np.delete(np.arange(x.shape[1]), j)
        left = x[:, others].T @ x[:, others] + ease.RIDGE * np.eye(len(others))
        weights = np.linalg.solve(left, x[:, others].T @ x[:, j])
        assert model.weights[others, j] == pytest.approx(weights, rel=1e-3, abs=1e-6)
        assert model.weights[j, j] == 0


def test_ease_leaves_out_the_least_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no score, and say nothing; the others keep their columns."""
    monkeypatch.setattr(ease, "MOST_ITEMS", 2)
    counts = scipy.sparse.csr_matrix(np.array([[1, 0, 1], [1, 1, 1], [1, 0, 1]], np.float32))
    model = fit_ease(counts)
    assert model.columns.tolist() == [0, 2]
    assert model.scores(np.array([1]), ONE).tolist() == [0, 0, 0]
    scores = model.scores(np.array([0, 1]), np.array([1.0, 0.6]))
    assert scores.tolist() == model.scores(np.array([0]), ONE).tolist()
    assert scores[2] > scores[1] == 0
