"""The opponents: fixed methods that know what the product knows, each at one setting for all logs.

Law: an opponent learns from the visits of the log (events of the types in `TARGET`) before the
request, and from nothing else. Equal scores stand in the order of the items' hashes, smaller first.
What a method does not know is filled up by popularity, and then in that order.
"""

from __future__ import annotations

from typing import Final

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Ranked, Ranking
from replay.evaluate.baselines.covisitation import Covisitation
from replay.evaluate.baselines.ease import fit_ease
from replay.evaluate.baselines.fusion import Fusion
from replay.evaluate.baselines.ials import fit_ials
from replay.evaluate.baselines.item_knn import fit_item_knn
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.popularity import AnyOrder, Chance, Popular
from replay.evaluate.baselines.retrained import RETRAIN_VISITS, Fit, Retrained
from replay.evaluate.baselines.session_knn import SessionKnn
from replay.evaluate.baselines.transitions import Transitions
from replay.evaluate.request import Contestant

RECENT_VISITS: Final = 2_000  # behind what the others do not know
OTHER_WINDOWS: Final = (500, 10_000)
_DAY_S: Final = 86_400.0
_SEED: Final = 1


def baselines(log: TrainingLog, retrain_visits: int = RETRAIN_VISITS) -> list[Contestant]:
    """Return all opponents over a log, none of which has learned anything.

    They share what is the same, such as the counts of recent visits: the first that is asked to
    learn does it for all, and time spent is to be read with that in mind.

    Args:
        log: the log.
        retrain_visits: fewest new visits between two trainings of the models.
    """
    numbering = Numbering(log)
    own = numbering.log
    popular, recent = Popular(own), Popular(own, RECENT_VISITS)
    covisitation = Covisitation(own, half_life_s=14 * _DAY_S)
    session_knn = SessionKnn(own)
    windows = {RECENT_VISITS: recent} | {width: Popular(own, width) for width in OTHER_WINDOWS}
    fits: dict[str, Fit] = {"item-knn": fit_item_knn, "ials": fit_ials, "ease": fit_ease}
    rankings: dict[str, tuple[Ranking, ...]] = {
        "random": (Chance(_SEED),),
        "popular": (popular,),
        **{f"recent-popular-{width}": (windows[width], popular) for width in sorted(windows)},
        "transitions": (Transitions(own), recent, popular),
        "covisitation": (covisitation, recent, popular),
        "session-knn": (session_knn, recent, popular),
        "fusion": (Fusion(covisitation, session_knn), recent, popular),
        "fusion+popular": (Fusion(covisitation, session_knn, recent), recent, popular),
        **{
            name: (Retrained(own, fit, retrain_visits), recent, popular)
            for name, fit in fits.items()
        },
    }
    return [Ranked(name, numbering, *each, AnyOrder()) for name, each in rankings.items()]
