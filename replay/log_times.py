"""When a log happened beside when it is played: event time rules, so the two must be near.

Trends decay by event time. A log that ended long ago is fresh only until the first event of today:
from then on it is as old as it is.
"""

from __future__ import annotations

from freshet.core.events.recorded.times import readable

FAR_MS = 86_400_000


def shift_to(last_ts_ms: int, now_ms: int) -> int:
    """Return what moves a log so that it ends now, ms.

    >>> shift_to(1_000, 5_000)
    4000
    """
    return now_ms - last_ts_ms


def age_warning(last_ts_ms: int, now_ms: int, *, server: bool) -> str:
    """Return what is wrong with playing a log that ends then, "" when nothing is.

    Args:
        last_ts_ms: time of its newest event, as it is played.
        now_ms: the time now.
        server: whether a server answers, so that events of now come in.
    """
    if last_ts_ms > now_ms + FAR_MS:
        return (
            f"the log ends at {readable(last_ts_ms)} UTC, which is to come: live events would be "
            "late until then. --shift-to-now lets it end now"
        )
    if not server or now_ms - last_ts_ms <= FAR_MS:
        return ""
    days = (now_ms - last_ts_ms) / FAR_MS
    return (
        f"the log ends {days:,.0f} days ago and a server is running: the first list that it gives "
        "is an event of now, and all that the log holds of trends decays. --shift-to-now lets the "
        "log end now"
    )


def watermark_warning(first_ts_ms: int, last_ts_ms: int, watermark_ts_ms: int) -> str:
    """Return what is wrong with playing a log into a namespace whose time is this, "" = nothing.

    Args:
        first_ts_ms: time of the log's oldest event, as it is played.
        last_ts_ms: of its newest.
        watermark_ts_ms: of the newest event in the namespace, 0 = none.
    """
    if not watermark_ts_ms:
        return ""
    if last_ts_ms < watermark_ts_ms - FAR_MS:
        return (
            f"the log ends at {readable(last_ts_ms)} UTC, before the newest event of the namespace "
            f"at {readable(watermark_ts_ms)}: all of it counts as late, and moves no trend"
        )
    if first_ts_ms > watermark_ts_ms + 30 * FAR_MS:
        return (
            f"the log begins at {readable(first_ts_ms)} UTC, long after the newest event of the "
            f"namespace at {readable(watermark_ts_ms)}: what is there decays to nothing"
        )
    return ""
