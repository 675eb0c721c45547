"""The plan: a function of its seed, which meets every kind and leaves time between them."""

import itertools

import pytest

from replay.chaos.plan import (
    BROKERS,
    BUG_PLACES,
    CALM_S,
    EMBEDDED,
    FIRST_S,
    GAP_S,
    KAFKA,
    KINDS,
    plan_strikes,
)


def test_a_run_too_short_for_a_strike_has_none() -> None:
    """There must be time to begin and to recover."""
    assert plan_strikes(1, 0, broker=KAFKA, workers=1) == []
    assert plan_strikes(1, FIRST_S + CALM_S - 0.1, broker=EMBEDDED, workers=1) == []


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_is_the_same_plan(broker: str, seed: int) -> None:
    """And another seed is another."""
    plan = plan_strikes(seed, 200, broker=broker, workers=2)
    assert plan == plan_strikes(seed, 200, broker=broker, workers=2)
    assert plan != plan_strikes(seed + 1, 200, broker=broker, workers=2)


@pytest.mark.parametrize("seed", range(20))
def test_a_longer_run_begins_as_the_shorter_one(seed: int) -> None:
    """So a long run that failed can be cut short."""
    short = plan_strikes(seed, 60, broker=KAFKA, workers=2)
    assert plan_strikes(seed, 240, broker=KAFKA, workers=2)[: len(short)] == short


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("seed", range(20))
def test_every_kind_that_is_possible_comes_before_any_comes_twice(broker: str, seed: int) -> None:
    """Again and again: the deck is dealt out before it is shuffled anew."""
    possible = {name for name, kind in KINDS.items() if broker in kind.brokers}
    struck = [strike.kind for strike in plan_strikes(seed, 600, broker=broker, workers=2)]
    whole_decks = len(struck) // len(possible)
    assert whole_decks >= 3
    for deck in range(whole_decks):
        assert set(struck[deck * len(possible) : (deck + 1) * len(possible)]) == possible
    assert set(struck) == possible


def test_the_embedded_broker_is_never_killed() -> None:
    """It would forget everything."""
    plan = plan_strikes(3, 2_000, broker=EMBEDDED, workers=2)
    assert "kill_broker" not in {strike.kind for strike in plan}


@pytest.mark.parametrize("seed", range(20))
def test_strikes_keep_their_distance_and_end_in_time(seed: int) -> None:
    """From the end of one to the next, and to the end of the run."""
    plan = plan_strikes(seed, 300, broker=KAFKA, workers=3)
    assert plan[0].at_s == FIRST_S
    assert plan[0].waits
    for one, after in itertools.pairwise(plan):
        assert GAP_S[0] - 0.2 <= after.at_s - one.at_s - one.lasts_s <= GAP_S[1] + 0.2
    assert plan[-1].at_s + plan[-1].lasts_s <= 300 - CALM_S + 0.1
    for strike in plan:
        low, high = KINDS[strike.kind].lasts_s
        assert low <= strike.lasts_s <= high
        assert strike.worker in range(3)
        assert strike.place in BUG_PLACES
