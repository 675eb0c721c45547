"""Sessions that share the user's last items say what comes next."""

from collections.abc import Callable

import numpy as np
import pytest

from online_models import session_knn
from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Ranked
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.session_knn import SessionKnn

DAY_S = 86_400


def contestant(log: TrainingLog) -> Ranked:
    numbering = Numbering(log)
    return Ranked("session-knn", numbering, SessionKnn(numbering.log))


def visits(*sessions: str, start: float = 0) -> list[tuple[str, str, float]]:
    """Return a session of one-letter items for each word, by a user of its own."""
    return [(f"{start}-{n}", item, start + n) for n, word in enumerate(sessions) for item in word]


def test_a_session_that_shares_more_is_nearer(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """The newer of two shared items says more; a session that shares none says nothing."""
    log = make_log([*visits("xyb", "x1c", "2yd", "e"), *(("me", i, 10) for i in "xy?")])
    found = listed(log, contestant(log), 12)
    assert found[0] == "b"
    assert set(found[1:3]) == set("2d")
    assert set(found[3:]) == set("1c")


def test_an_item_near_the_shared_one_says_more(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """In places of the session, to both sides."""
    log = make_log([*visits("abcdxefg"), ("me", "x", 10), ("me", "?", 10)])
    found = listed(log, contestant(log), 9)
    assert [set(found[at : at + 2]) for at in (0, 2, 4)] == [set("de"), set("cf"), set("bg")]
    assert found[6:] == ["a"]


def test_an_old_session_says_less(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """The younger of two alike."""
    old, new = visits("xa"), visits("xb", start=40 * DAY_S)
    log = make_log([*old, *new, ("me", "x", 41 * DAY_S), ("me", "?", 41 * DAY_S)])
    assert listed(log, contestant(log), 5) == ["b", "a"]


def test_the_nearest_alone_are_heard_and_of_equals_the_newest(
    make_log: Callable[..., TrainingLog],
    listed: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five sessions of the same second; two are neighbours."""
    monkeypatch.setattr(session_knn, "NEIGHBOURS", 2)
    rows = [(f"u{n}", item, 0) for n, word in enumerate(["xa", "xb", "xc", "xd"]) for item in word]
    log = make_log([*rows, ("me", "x", 0), ("me", "?", 0)])
    # The user's own session is the newest, and says nothing that is on offer.
    assert listed(log, contestant(log), 9) == ["d"]


def test_without_known_items_nothing_is_known(
    make_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    log = make_log([*visits("ab"), ("new", "?", 10)])
    assert listed(log, contestant(log), 2) == []


def test_scores_are_those_of_the_slow_twin(
    random_log: Callable[..., TrainingLog], listed: Callable[..., list[str]]
) -> None:
    """At the end of a random log, over all its sessions."""
    log, event = random_log(11, users=30), 399
    sessions: list[list[int]] = []
    open_session: dict[int, tuple[int, int]] = {}
    last_ms: dict[int, int] = {}
    for e in range(event):
        user, item, ts_ms = int(log.user[e]), int(log.item[e]), int(log.ts_ms[e])
        number, before = open_session.get(user, (-1, 0))
        if number < 0 or ts_ms - before > DAY_S * 1000:
            number = len(sessions)
            sessions.append([])
        if item not in sessions[number]:
            sessions[number].append(item)
        open_session[user] = number, ts_ms
        last_ms[number] = ts_ms
    history = [int(log.item[e]) for e in range(event) if log.user[e] == log.user[event]][::-1]
    query = list(dict.fromkeys(history))[: session_knn.QUERY_ITEMS]
    scores = np.zeros(len(log.items))
    for number, items in enumerate(sessions):
        shared = [n for n, item in enumerate(query) if item in items]
        age_s = (log.ts_ms[event - 1] - last_ms[number]) / 1000
        similarity = sum(session_knn.DECAY**n for n in shared) * np.exp(
            -age_s / session_knn.RECENCY_S
        )
        for at, item in enumerate(items):
            if shared and item not in history:
                distance = abs(at - items.index(query[min(shared)]))
                scores[item] += similarity * np.exp(-distance / session_knn.SPREAD)
    assert len(sessions) < session_knn.NEIGHBOURS
    rows = np.lexsort((log.hashes, -scores))[: min(20, int((scores > 0).sum()))]
    found = listed(log, contestant(log), event)
    by_id = {item.item_id: scores[row] for row, item in enumerate(log.items)}
    assert len(rows) > 5
    assert [by_id[name] for name in found] == pytest.approx(scores[rows].tolist())
