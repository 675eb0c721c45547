"""The opponents: fixed methods that know what the product knows, each at one setting for all logs.

Law: an opponent learns from the events of the log before the request, and from nothing else: visits
(events of the types in `TARGET`), impressions where the log holds some, creation and categories of
items. Equal counts are in the order of recent visits, other equal scores in that of the items'
hashes, smaller first. What a method does not know is filled up by popularity, and then by hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from freshet.core.events.schema import IMPRESSION
from online_models.training.log import TrainingLog
from replay.evaluate.baselines.category_popular import CategoryPopular
from replay.evaluate.baselines.contestant import Ranked, Ranking
from replay.evaluate.baselines.covisitation import Covisitation
from replay.evaluate.baselines.ease import fit_ease
from replay.evaluate.baselines.fusion import Fusion
from replay.evaluate.baselines.ials import fit_ials
from replay.evaluate.baselines.item_knn import fit_item_knn
from replay.evaluate.baselines.memo import Memo
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.own_past import OwnPast
from replay.evaluate.baselines.popularity import (
    AnyOrder,
    Chance,
    ClickedOfShown,
    Newest,
    Popular,
    ShownLately,
)
from replay.evaluate.baselines.retrained import (
    RETRAIN_VISITS,
    Fit,
    Retrained,
    training_moments,
)
from replay.evaluate.baselines.seen_hidden import SeenHidden, UnseenOffers
from replay.evaluate.baselines.session_knn import SessionKnn
from replay.evaluate.baselines.transitions import Transitions
from replay.evaluate.request import Contestant

RECENT_VISITS: Final = 2_000  # behind what the others do not know
OTHER_WINDOWS: Final = (500, 10_000)
SHOWN_WINDOWS: Final = (2_000, 20_000)  # impressions
_DAY_S: Final = 86_400.0
_SEED: Final = 1


def baselines(
    log: TrainingLog, trained_at: Sequence[int] = (), retrain_visits: int = RETRAIN_VISITS
) -> list[Contestant]:
    """Return all opponents over a log, none of which has learned anything.

    They share what is the same, such as the counts of recent visits: the first that is asked
    learns and computes for all, and time spent is to be read with that in mind. The second half
    are the same methods with all seen items hidden.

    Args:
        log: the log.
        trained_at: events before which the models are trained in any case.
        retrain_visits: new visits that are always enough for a day to begin with a training.
    """
    numbering = Numbering(log)
    own, behind = numbering.log, AnyOrder()
    recent_visits, visits = Popular(own, RECENT_VISITS), Popular(own)
    recent, popular = Memo(recent_visits), Memo(visits)
    windows: dict[int, Ranking] = {width: Popular(own, width) for width in OTHER_WINDOWS}
    windows[RECENT_VISITS] = recent
    covisitation = Memo(Covisitation(own, half_life_s=14 * _DAY_S))
    session_knn, past = Memo(SessionKnn(own)), Memo(OwnPast(own))
    first: dict[str, Ranking] = {
        "random": Chance(_SEED),
        "popular": popular,
        **{f"recent-popular-{width}": windows[width] for width in sorted(windows)},
        "newest": Newest(own),
        "category-popular": CategoryPopular(own, recent_visits),
        "own-past": past,
        "transitions": Transitions(own, recent_visits),
        "covisitation": covisitation,
        "session-knn": session_knn,
        "fusion": Fusion(covisitation, session_knn),
        "fusion+popular": Fusion(covisitation, session_knn, recent),
        "fusion+past": Fusion(covisitation, session_knn, past),
    }
    if (own.kind == IMPRESSION).any():
        shown = {width: Memo(ShownLately(own, width)) for width in SHOWN_WINDOWS}
        rate = Memo(ClickedOfShown(own, SHOWN_WINDOWS[-1]))
        first |= {f"shown-lately-{width}": ranking for width, ranking in shown.items()}
        first |= {
            "click-rate": ClickedOfShown(own),
            "click-rate-lately": rate,
            "fusion+shown": Fusion(covisitation, session_knn, recent, shown[SHOWN_WINDOWS[0]]),
        }
    methods = [
        Ranked(name, numbering, ranking, recent, popular, behind) for name, ranking in first.items()
    ]
    fits: dict[str, Fit] = {"item-knn": fit_item_knn, "ials": fit_ials, "ease": fit_ease}
    moments = training_moments(own, trained_at, retrain_visits)
    for name, fit in fits.items():
        model = Retrained(own, fit, moments)
        methods.append(_trained(name, numbering, model, recent, popular, behind))
    offers = UnseenOffers()
    hiding = [SeenHidden(each, offers) for each in methods if each.name not in _OF_SEEN]
    return [*methods, *hiding]


def _trained(name: str, numbering: Numbering, model: Retrained, *behind: Ranking) -> Ranked:
    return Ranked(name, numbering, Memo(model), *behind, trainings=lambda: model.trainings)


_OF_SEEN: Final = ("random", "own-past", "fusion+past")  # hiding what was seen makes no sense
