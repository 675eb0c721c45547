"""A baseline may hide all that the user ever acted on, as the product learns to."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.popularity import AnyOrder, Popular
from replay.evaluate.baselines.seen_hidden import SeenHidden, UnseenOffers
from replay.evaluate.request import Request


def test_what_was_seen_long_ago_is_hidden_too(
    make_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """The two most popular items were; where nothing was, both answer alike."""
    visits = [(f"u{number}", item, number) for number, item in enumerate("aaaabbbccd")]
    log = make_log([*visits, ("me", "?", 20)])
    numbering = Numbering(log)
    popular = Ranked("popular", numbering, Popular(numbering.log), AnyOrder())
    hiding = SeenHidden(popular, UnseenOffers())
    fresh = request_at(log, 10)
    rows = {item.item_id: row for row, item in enumerate(log.items)}
    request = replace(fresh, seen=np.array([rows["a"], rows["b"]]))
    hiding.learn(10)

    def listed(contestant: Ranked | SeenHidden, asked: Request) -> str:
        return "".join(log.items[row].item_id for row in contestant.recommend(asked))

    assert (hiding.name, hiding.playing) == ("popular, all seen hidden", popular.playing)
    assert listed(popular, request) == "abcd"
    assert listed(hiding, request) == "cd"
    assert listed(hiding, fresh) == listed(popular, fresh) == "abcd"
    assert request.offered[request.seen].all()  # the request of the others is as it was
