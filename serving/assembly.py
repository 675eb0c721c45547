"""Answer: what was decided, in words and numbers, and the features as they are logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from freshet.core.events.schema import Item, Slate, Slot
from freshet.core.settings import Settings
from freshet.core.state.records import applied_events, last_event
from online_models.features import FEATURE_SCHEMA, SOURCES
from serving.answer import Answer, AnswerItem, AsOf, Quality
from serving.explore import Slots
from serving.fallback_blend import Blend
from serving.moment import Moment
from serving.ranking import Ranked
from serving.reasons import reasons
from serving.sources.found import Union
from serving.user_state import UserState

_NO_ENTRY: Final = Item(item_id="-")


@dataclass(frozen=True, slots=True)
class Served:
    """An answer, and what is logged beside it.

    Attributes:
        features: little-endian float16, (n_slots, n_features); empty where there are none.
        moment: what the answer rests on.
        union: the candidates that it was chosen from.
    """

    answer: Answer
    features: bytes
    moment: Moment
    union: Union

    def slate(self, ts_ms: int) -> Slate:
        """Return the answer as it is logged, given the time of the clock."""
        answer = self.answer
        slots = [
            Slot(
                item_id=item.item_id,
                position=item.position,
                score=item.score,
                source=item.source,
                reason=item.reason,
                propensity=item.propensity,
                explored=item.explored,
            )
            for item in answer.items
        ]
        return Slate(
            request_id=answer.request_id,
            user_id=answer.user,
            ts_ms=ts_ms,
            policy=answer.policy,
            model_version=answer.model_version,
            quality=answer.quality,
            feature_schema=FEATURE_SCHEMA,
            slots=slots,
            features=self.features,
        )


def assemble(
    moment: Moment, ranked: Ranked, slots: Slots, request_id: str, unknown: list[str] | None = None
) -> Served:
    """Return the answer to a request.

    Args:
        moment: the request.
        ranked: the candidates.
        slots: the list as decided.
        request_id: names the answer.
        unknown: items of the request that the catalogue does not offer.
    """
    items = _items(moment, ranked, slots)
    quality = _quality(moment, ranked)
    answer = Answer(
        request_id=request_id,
        user=moment.user_id,
        model_version=moment.bound.bundle.version if moment.bound else "none",
        as_of=as_of(moment.user),
        quality=quality,
        degraded=moment.stages.degraded,
        policy=policy(moment.settings, None if ranked.by_ranker else moment.blend),
        personalised=bool((moment.profile.rows >= 0).any()),
        consistent=moment.consistent,
        took_ms=round(moment.stages.took_ms, 3),
        items=items,
        unknown=unknown or [],
        unwanted=[
            item.item_id
            for item, factor in zip(items, ranked.factors[slots.candidates], strict=True)
            if factor == 0
        ],
    )
    features = b""
    if ranked.features is not None:
        features = ranked.features[slots.candidates].astype("<f2").tobytes()
    return Served(answer, features, moment, ranked.union)


def as_of(user: UserState) -> AsOf | None:
    """Return the state of the user that an answer rests on; None before the first event."""
    if not user.known:
        return None
    record = user.record
    return AsOf(
        applied=int(applied_events(record)),
        ts_ms=int(record["last_ts_ms"]),
        event=f"{last_event(record):010x}",
    )


def policy(settings: Settings, blend: Blend | None = None) -> str:
    """Return the name of the policy that decides lists.

    Args:
        settings: of the installation.
        blend: of the sources, where no ranker orders what they found.

    >>> from serving.fallback_blend import FIXED
    >>> policy(Settings()), policy(Settings(), FIXED)
    ('rank-mmr0.05-thompson2', 'blend-fixed-mmr0.05-thompson2')
    """
    order = f"blend-{blend.name}" if blend else "rank"
    return f"{order}-mmr{settings.diversity:g}-thompson{settings.exploration_slots}"


def _items(moment: Moment, ranked: Ranked, slots: Slots) -> list[AnswerItem]:
    chosen = ranked.union.take(slots.candidates)
    sources = ranked.sources[slots.candidates]
    words = reasons(moment, chosen, sources, slots.explored)
    scores = ranked.scores[slots.candidates].tolist()
    propensities, explored = slots.propensities.tolist(), slots.explored.tolist()
    items = []
    for position, row in enumerate(chosen.rows.tolist()):
        entry = moment.table.entries[row] or _NO_ENTRY
        source = SOURCES[sources[position]]
        items.append(
            AnswerItem(
                item_id=moment.table.ids[row],
                title=entry.title,
                categories=entry.categories,
                position=position,
                score=scores[position],
                source=source,
                reason=words[position],
                propensity=propensities[position],
                explored=explored[position],
            )
        )
    return items


def _quality(moment: Moment, ranked: Ranked) -> Quality:
    if ranked.by_ranker:
        return "partial" if moment.stages.degraded else "full"
    others_found = (ranked.union.ranks[:, : SOURCES.index("popular")] >= 0).any()
    return "source_order" if others_found else "popular"
