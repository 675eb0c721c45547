"""What a round of events made: each total of the position that has a metric, has its own."""

from streams.folded_events import COUNTED
from streams.user_fold_rows import CHANGED, TOTALS


def test_every_total_of_the_fold_is_counted() -> None:
    """By a metric of its own; how many users changed is no count of events."""
    assert set(COUNTED) == set(TOTALS) - {CHANGED}
    assert len({id(metric) for metric in COUNTED.values()}) == len(COUNTED)
