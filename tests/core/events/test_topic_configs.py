"""What differs from how the topics are meant to be kept."""

from __future__ import annotations

import pytest

from freshet.core.events.topic_configs import differences
from freshet.core.events.topics import Topics

TOPICS = Topics("t")
MEANT = TOPICS.all()


def changed(topic: str, **config: str) -> dict[str, dict[str, str]]:
    """The topics as they are meant, but for one."""
    own = {name.replace("_", "."): value for name, value in config.items()}
    return {**MEANT, topic: MEANT[topic] | own}


def test_what_is_as_it_is_meant_differs_in_nothing() -> None:
    """Also where the brokers tell of nothing."""
    assert differences(MEANT, MEANT) == []
    assert differences(MEANT, {}) == []


@pytest.mark.parametrize("policy", ["delete", "compact,delete", "delete,compact", ""])
def test_a_catalogue_that_forgets_is_harmful(policy: str) -> None:
    """What a broker makes by itself deletes by age; the remedy can be typed."""
    [row] = differences(MEANT, changed(TOPICS.catalog, cleanup_policy=policy))
    assert row.harmful
    assert row.remedy.endswith("--entity-name t.catalog --add-config cleanup.policy=compact")


def test_events_that_are_compacted_are_harmful() -> None:
    """All but the last event of a user would go."""
    [row] = differences(MEANT, changed(TOPICS.events, cleanup_policy="compact"))
    assert row.harmful
    assert str(row) == "t.events has cleanup.policy=compact, expected delete"


@pytest.mark.parametrize(("found", "rows"), [("-1", 0), ("604800000", 0), ("999999999999", 0),
                                             ("604799999", 1), ("3600000", 1)])  # fmt: skip
def test_a_shorter_retention_is_said(found: str, rows: int) -> None:
    """A longer one, or none, keeps what is meant to be kept."""
    different = differences(MEANT, changed(TOPICS.events, retention_ms=found))
    assert [row.harmful for row in different] == [False] * rows


def test_the_harmful_come_first() -> None:
    """Whoever refuses names them."""
    found = changed(TOPICS.events, retention_ms="1") | {
        TOPICS.slates: MEANT[TOPICS.slates] | {"cleanup.policy": "compact"}
    }
    assert [row.harmful for row in differences(MEANT, found)] == [True, False]
