"""Times that are far apart are said, and near ones are not."""

import pytest

from replay.log_times import FAR_MS, age_warning, shift_to, watermark_warning

NOW = 1_796_000_000_000


@pytest.mark.parametrize(
    ("last", "server", "said"),
    [
        (NOW, True, ""),
        (NOW - FAR_MS, True, ""),
        (NOW - 340 * FAR_MS, False, ""),
        (NOW - 340 * FAR_MS, True, "ends 340 days ago and a server is running"),
        (NOW + 2 * FAR_MS, False, "is to come"),
    ],
)
def test_an_old_log_is_warned_of_where_people_may_come(last: int, server: bool, said: str) -> None:
    """With what to do."""
    found = age_warning(last, NOW, server=server)
    assert said in found
    assert bool(found) == bool(said)
    assert not found or "--shift-to-now" in found


@pytest.mark.parametrize(
    ("first", "last", "watermark", "said"),
    [
        (NOW - 9, NOW, 0, ""),
        (NOW - 9, NOW, NOW, ""),
        (NOW - 9 * FAR_MS, NOW - 2 * FAR_MS, NOW, "all of it counts as late"),
        (NOW, NOW + 9, NOW - 40 * FAR_MS, "decays to nothing"),
    ],
)
def test_a_namespace_of_another_time_is_warned_of(
    first: int, last: int, watermark: int, said: str
) -> None:
    """In both directions."""
    found = watermark_warning(first, last, watermark)
    assert said in found
    assert bool(found) == bool(said)


def test_a_shifted_log_ends_now() -> None:
    """To the millisecond."""
    assert NOW - 7 + shift_to(NOW - 7, NOW) == NOW
