"""What is asked and what is answered: the wire types of recommendations.

Law 7 of the design: every answer says what it is. `Quality` and `degraded` are bounded words:

| quality      | what the list is |
|--------------|------------------|
| full         | every stage did its work |
| partial      | ordered by the ranker, but something in `degraded` was missing |
| source_order | no ranker: the sources fused by rank, by the weights that `policy` names |
| popular      | nothing but the popular items was left |

| degraded     | what was missing |
|--------------|------------------|
| user_state   | Redis is away or a record damaged: the user as last seen here, or as a new one |
| state_behind | events wait in Kafka and no worker applies them: the list rests on an older state |
| item_state   | the item state is not following its changes, or a part of it is damaged |
| kafka        | Kafka is away: newer events are not in, and the answer is not logged |
| model        | no bundle is loaded |
| encoder      | the user's vector comes from the session embedding |
| session, covisitation, transitions, neighbours | the source failed or had no time |
| past, similar, category, trending, new | the source failed or had no time |
| filter       | the filter of what the user has seen failed or had no time |
| aversion     | what is like the rejected items keeps its score |
| features, rank, rerank, explore | the stage failed or had no time |
| seen         | the user has seen everything that passes the filters, so seen items are shown |

What a user rejected is not shown, whatever is degraded; but while `user_state` is, a rejection that
this process has not read is not known to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from freshet.core.events.schema import Identifier

MAX_K = 100

Quality = Literal["full", "partial", "source_order", "popular"]
Impressions = Literal["server", "client"]


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for.

    Attributes:
        user: for whom; an unknown user gets a list for newcomers.
        k: items wanted.
        exclude: items that must not appear.
        categories: only items with one of these; all when empty.
        seed: makes the exploration of this answer reproducible.
        after: wait until this event is in the list's state, for a bounded time.
        impressions: who reports what was shown: `server` counts every item of the answer as
            shown, `client` reports what was truly visible.
    """

    user: Identifier
    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 20
    exclude: Annotated[list[Identifier], Meta(max_length=1000)] = []
    categories: Annotated[list[str], Meta(max_length=32)] = []
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    after: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    impressions: Impressions = "server"


class AddressQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for in an address, which counts nothing unless it says so.

    An address is fetched by more than clients: by an image in any page, a crawler, a cache, a
    preview of a link.
    """

    impressions: Impressions = "client"


class RankQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client's own candidates, to be put in order for a user."""

    user: Identifier
    items: Annotated[list[Identifier], Meta(min_length=1, max_length=1000)]
    after: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class AsOf(Struct, frozen=True):
    """The state of the user that an answer rests on.

    Attributes:
        applied: events of the user that were applied.
        ts_ms: time of the newest one.
        event: hash of the one applied last, 10 hex digits.
    """

    applied: int
    ts_ms: int
    event: str


class AnswerItem(Struct, frozen=True, kw_only=True):
    """One position of an answer.

    Attributes:
        score: bigger is better; the ranker's probability of a click, or the fused source score,
            lowered for what is like the items that the user rejected.
        source: which source found it; `popular` for a client's own candidate that none found.
        reason: why, for the person who reads the list.
        propensity: probability in (0, 1] that the policy puts this item here.
        explored: whether the bandit drew it.
    """

    item_id: str
    title: str
    categories: list[str]
    position: int
    score: float
    source: str
    reason: str
    propensity: float
    explored: bool


class Answer(Struct, frozen=True, kw_only=True):
    """A list for a user, and what it is.

    Attributes:
        consistent: whether the event named by `after` is in; null when none was named.
        personalised: whether the list depends on what the user did.
        unknown: items of a rank request that the catalogue does not offer.
        unwanted: items of a rank request that the user rejected; they come last.
    """

    request_id: str
    user: str
    model_version: str
    as_of: AsOf | None
    quality: Quality
    degraded: list[str]
    policy: str
    personalised: bool
    consistent: bool | None
    took_ms: float
    items: list[AnswerItem]
    unknown: list[str] = []
    unwanted: list[str] = []
