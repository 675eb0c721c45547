"""What is popular in the categories of the last visit."""

from collections.abc import Callable

from freshet.core.events.schema import Item
from online_models.training.log import TrainingLog
from replay.evaluate.baselines.category_popular import CategoryPopular
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.popularity import Popular


def test_the_last_visit_decides_the_category(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """Of any of its categories; nobody without a visit has one."""
    items = [
        Item(item_id=name, categories=categories)
        for name, categories in (("a", ["x"]), ("b", ["x", "y"]), ("c", ["y"]), ("d", ["z"]))
    ]
    visits = [(f"u{number}", item, number) for number, item in enumerate("aaccbddd")]
    log = make_log(
        [*visits, ("me", "d", 10), ("me", "a", 11), ("me", "?", 12), ("new", "?", 13)], items
    )
    numbering = Numbering(log)
    ranking = CategoryPopular(numbering.log, Popular(numbering.log))
    assert listed(log, Ranked("category-popular", numbering, ranking), 10) == ["b"]
    assert listed(log, Ranked("category-popular", numbering, ranking), 11) == []
