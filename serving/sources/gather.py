"""Sources: ask all of them; each may fail alone, and popular never does."""

from __future__ import annotations

from collections.abc import Callable

from online_models.features import SOURCES
from online_models.sources import QUOTAS
from serving.answer import Query
from serving.moment import Moment
from serving.sources.category import find_in_categories
from serving.sources.covisitation import find_covisits
from serving.sources.found import Found
from serving.sources.neighbours import find_neighbours
from serving.sources.new_items import find_new
from serving.sources.past import find_past
from serving.sources.popular import find_popular, find_popular_among
from serving.sources.session import find_session
from serving.sources.similar import find_similar
from serving.sources.transitions import find_transitions
from serving.sources.trending import find_trending


def gather(moment: Moment, query: Query) -> list[Found]:
    """Return what each of `SOURCES` found, in their order."""
    quota = {
        name: max(1, int(share * moment.settings.candidates)) for name, share in QUOTAS.items()
    }
    table, profile, bound, standings = moment.table, moment.profile, moment.bound, moment.standings
    half_life_s = moment.settings.covisit_half_life_s
    ask: dict[str, Callable[[], Found]] = {
        "session": lambda: find_session(bound, moment.query, quota["session"]),
        "covisitation": lambda: find_covisits(table, profile, half_life_s, quota["covisitation"]),
        "transitions": lambda: find_transitions(table, profile, half_life_s, quota["transitions"]),
        "neighbours": lambda: find_neighbours(moment.sessions, profile, quota["neighbours"]),
        "past": lambda: find_past(profile, quota["past"]),
        "similar": lambda: find_similar(bound, profile, quota["similar"]),
        "category": lambda: find_in_categories(table, standings, profile, quota["category"]),
        "trending": lambda: find_trending(standings, quota["trending"]),
        "new": lambda: find_new(standings, bound, moment.query, quota["new"]),
    }
    found = [moment.stages.run(name, ask[name], otherwise=Found.nothing) for name in SOURCES[:-1]]
    found.append(_popular(moment, query))
    counts = zip(SOURCES, found, strict=True)
    moment.stages.candidates = {name: len(one.rows) for name, one in counts}
    return found


def _popular(moment: Moment, query: Query) -> Found:
    quota = int(QUOTAS["popular"] * moment.settings.candidates)
    hidden = len(query.exclude) + len(moment.profile.unwanted)  # makes way for others
    if not query.categories:
        return find_popular(moment.standings, quota + hidden)
    rows = moment.table.rows_in_categories(query.categories)
    return find_popular_among(moment.table, rows, moment.profile.now_ms, 2 * quota + hidden)
