"""What the user visited most comes first, of what is on offer."""

from collections.abc import Callable

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.own_past import OwnPast


def test_the_past_of_the_user_is_listed_by_visits(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """Before the last fifty interactions: b twice, then c, which is newer than a; not of others."""
    past = [("me", item, number) for number, item in enumerate("babc")]
    later = [("me", f"x{number}", 10 + number) for number in range(50)]
    log = make_log([*past, ("you", "z", 5), *later, ("me", "?", 99), ("you", "?", 100)])
    numbering = Numbering(log)
    contestant = Ranked("own-past", numbering, OwnPast(numbering.log))
    assert listed(log, contestant, 55) == ["b", "c", "a"]
    assert contestant.playing.played
    assert listed(log, contestant, 56) == []
    assert contestant.playing.own_share == 0.5
