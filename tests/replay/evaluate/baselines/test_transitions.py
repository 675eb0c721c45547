"""The item that most often came next comes first."""

from collections.abc import Callable

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.popularity import Popular
from replay.evaluate.baselines.transitions import Transitions


def transitions(log: TrainingLog) -> Ranked:
    numbering = Numbering(log)
    return Ranked("transitions", numbering, Transitions(numbering.log, Popular(numbering.log)))


def test_counts_are_of_the_same_user_and_directional(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """From x to y twice, to z once, others in between; what led to x does not follow it."""
    log = make_log(
        [
            *(("a", "w", 0), ("b", "x", 1), ("a", "x", 2), ("b", "z", 3), ("a", "y", 4)),
            *(("c", "x", 5), ("c", "y", 6), ("me", "x", 7), ("me", "?", 8), ("new", "?", 9)),
        ]
    )
    assert listed(log, transitions(log), 8) == ["y", "z"]
    assert listed(log, transitions(log), 9) == []


def test_equal_counts_are_in_the_order_of_recent_popularity(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """In a large catalogue nearly all counts are 1: chance would decide the list."""
    visits = [("c", "x", 0), ("c", "twice", 1), ("d", "x", 2), ("d", "twice", 3)]
    for number in range(6):  # each followed once, and was visited so often besides
        visits += [(f"u{number}", "x", 4), (f"u{number}", f"n{number}", 5)]
        visits += [(f"v{number}-{n}", f"n{number}", 6) for n in range(3 * number)]
    log = make_log([*visits, ("me", "x", 9), ("me", "?", 10)])
    expected = ["twice", *(f"n{number}" for number in reversed(range(6)))]
    assert listed(log, transitions(log), len(visits) + 1) == expected


def test_equal_counts_of_equally_popular_items_are_in_the_order_of_the_hashes(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """Whichever came first."""
    names = [f"n{number}" for number in range(12)]
    visits = [row for n, name in enumerate(names) for row in ((name, "x", n), (name, name, n))]
    log = make_log([*visits, ("me", "x", 50), ("me", "?", 51)])
    hashes = {item.item_id: value for item, value in zip(log.items, log.hashes, strict=True)}
    assert listed(log, transitions(log), 25) == sorted(names, key=hashes.__getitem__)
