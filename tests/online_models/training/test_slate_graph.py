"""A ranker's graph carries the slate head, whatever the ranker is, and gives it back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from freshet.core.errors import BundleError
from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURES
from online_models.tasks import COLUMNS, SLATE, TASKS
from online_models.training import export
from online_models.training.challenger import TreeRanker
from online_models.training.challenger_graph import forest_graph
from online_models.training.export import PARITY_TOLERANCE, add_slate_column, export_ranker
from online_models.training.ranker import untrained_ranker
from online_models.training.slate_graph import read_slate_head
from online_models.training.slate_head import RankerColumns, SlateHead

pytestmark = pytest.mark.training

N = len(FEATURES)


def some_head() -> SlateHead:
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    deviation = rng.uniform(0.5, 2, N).astype(np.float32)
    deviation[7] = 0
    head = SlateHead(rng.normal(size=N).astype(np.float32), deviation)
    for weights in head.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    return head.eval()


def some_trees() -> TreeRanker:
    leaf = {"leaf_value": 0.5}
    root = {"split_feature": 2, "threshold": 0.1, "decision_type": "<=", "left_child": leaf}
    forests = [[root | {"right_child": {"leaf_value": -1.0}}], *([[]] * (len(TASKS) - 1))]
    return TreeRanker(
        forest_graph(forests, np.ones(len(TASKS), np.float32), np.zeros(len(TASKS), np.float32))
    )


@pytest.mark.parametrize("with_head", [True, False])
@pytest.mark.parametrize("trees", [True, False])
def test_the_graph_answers_all_columns_and_gives_the_head_back(
    tmp_path: Path, trees: bool, with_head: bool
) -> None:
    """To the bit; for one row and for many. Where there is none, the click is the column."""
    head = some_head() if with_head else None
    ranker = some_trees() if trees else untrained_ranker().eval()
    if isinstance(ranker, TreeRanker):
        graph = add_slate_column(ranker.graph, ranker, head)
    else:
        graph = export_ranker(ranker, head)
    path = tmp_path / "ranker.onnx"
    path.write_bytes(graph)
    features = torch.randn(40, N) * 3
    with torch.no_grad():
        expected = RankerColumns(ranker, head)(features).numpy()
    for rows in (40, 1):
        found = OnnxModel(path)(features=features[:rows].numpy())
        assert found.shape == (rows, len(COLUMNS))
        np.testing.assert_allclose(found, expected[:rows], atol=PARITY_TOLERANCE)
    assert np.array_equal(found[:, SLATE], found[:, 0]) is not with_head
    back = read_slate_head(path)
    if head is None:
        assert back is None
        return
    assert back is not None
    assert back.state_dict().keys() == head.state_dict().keys()
    for name, value in head.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)


def test_a_column_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that ignores the head is not published."""
    original = export.with_slate_column
    monkeypatch.setattr(export, "with_slate_column", lambda graph, _: original(graph, None))
    ranker = some_trees()
    with pytest.raises(BundleError, match="off the network"):
        add_slate_column(ranker.graph, ranker, some_head())
