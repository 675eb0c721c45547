"""Filter: what must not be shown. Withdrawn, excluded, of another category, not wanted, seen.

Law: what a user rejected is never shown to them, whatever else is left and whatever the settings
say of seen items; that filter has no budget and cannot be left out.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import FreshetError, RequestError, ServiceError
from serving.answer import Query
from serving.item_table import ItemTable, Rows
from serving.moment import Moment
from serving.profile import Profile
from serving.sources.found import Found, Union, fuse


def keep(moment: Moment, found: list[Found], query: Query) -> Union:
    """Return the candidates that may be shown, at most as many as are ranked.

    Where the user has seen everything that passes, seen items are better than nothing. Items that
    the user rejected are not.

    Raises:
        RequestError: no item passes the request's own filters, or the user rejected all that do.
        ServiceError: the catalogue is empty.
    """
    union = fuse(found)
    passes = moment.table.offered[union.rows] & asked_for(moment.table, union.rows, query)
    if not passes.any():
        raise _nothing(query)
    passes &= wanted(moment.table, union.rows, moment.profile)
    if not passes.any():
        raise _all_rejected(moment)
    if moment.settings.hide_seen:
        new_to_user = moment.stages.run(
            "filter",
            partial(unseen, moment.table, union.rows, moment.profile),
            otherwise=lambda: np.ones(len(union), bool),
        )
        if (passes & new_to_user).any():
            passes &= new_to_user
        else:
            moment.stages.left_out("seen")
    return union.take(np.flatnonzero(passes)[: moment.settings.candidates])


def asked_for(table: ItemTable, rows: Rows, query: Query) -> NDArray[np.bool_]:
    """Return (n,) bool: whether a row is none that the request excludes."""
    passes = np.ones(len(rows), bool)
    if query.exclude:
        passes &= ~np.isin(rows, table.rows(query.exclude))
    if query.categories:
        passes &= table.in_categories(rows, query.categories)
    return passes


def wanted(table: ItemTable, rows: Rows, profile: Profile) -> NDArray[np.bool_]:
    """Return (n,) bool: whether a row is none that the user rejected."""
    return ~_among(table, rows, profile.unwanted)


def unseen(table: ItemTable, rows: Rows, profile: Profile) -> NDArray[np.bool_]:
    """Return (n,) bool: whether a row is none of those that the user acted on last."""
    return ~_among(table, rows, profile.rows)


def _among(table: ItemTable, rows: Rows, others: Rows) -> NDArray[np.bool_]:
    """Return (n,) bool: whether a row is one of others, of which -1 is none."""
    is_other = np.zeros(table.size + 1, bool)  # the last one stands for row -1
    is_other[others] = True
    return is_other[rows]


def _all_rejected(moment: Moment) -> RequestError:
    n = len(moment.profile.unwanted)
    return RequestError(
        f"the user rejected every item that passes ({n} rejected in all); a later like, cart, "
        "purchase, share, follow or rating of an item takes its rejection back",
        field="user",
        status=422,
    )


def _nothing(query: Query) -> FreshetError:
    if query.categories or query.exclude:
        field = "categories" if query.categories else "exclude"
        return RequestError("no item of the catalogue passes", field=field, status=422)
    return ServiceError("catalogue", "it offers no items yet; PUT /v1/items/{id} adds one")
