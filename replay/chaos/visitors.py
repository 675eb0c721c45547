"""Visitors of the server of a chaos run: some ask for lists, some hold a feed open.

A feed whose socket breaks is opened again, as a page would do it. What it must hold in the end is
the state behind the last interaction of its user.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from replay.chaos.traffic import USERS
from replay.chaos.user_truth import UserTruth
from replay.chaos.verdict import Finding

FEEDS: Final = ("user-0", "user-1", "user-2")
ASK_S: Final = 0.1
PAUSE_S: Final = 0.2  # before a socket is opened again
RECEIVE_S: Final = 0.5  # between two looks whether to go on
TIMEOUT_S: Final = 5.0
SETTLED_S: Final = 20.0  # for feeds and the catalogue, once everything is applied
K: Final = 5
ALLOWED: Final = frozenset({0, 200, 429, 503})
"""Answers to a list during faults: none at all, a list, and that there is none now. Not a bug."""


class Visitors:
    """Threads that ask, and what they were answered.

    Args:
        url: of the server, which stays the same when it starts again.
        users: numbered users who ask for lists in turn.

    Attributes:
        codes: how often each status came; 0 stands for no answer.
        applied: events of the user of each feed that its last list rests on.
    """

    def __init__(self, url: str, users: int = USERS) -> None:
        self.codes: Counter[int] = Counter()
        self.applied: dict[str, int] = {}
        self._url = url
        self._users = users
        self._ending = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._asking = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, name="chaos-lists", daemon=True)]
        self._threads += [
            threading.Thread(target=self._follow, args=(user,), name=f"chaos-{user}", daemon=True)
            for user in FEEDS
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, without waiting for what is under way."""
        self._ending.set()
        self._going.set()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Ask for no list, which would count impressions, for as long as the context lasts."""
        self._going.clear()
        try:
            with self._asking:
                yield
        finally:
            self._going.set()

    def findings(
        self, acting: Mapping[str, UserTruth], offered: int, wait: Callable[[float], None]
    ) -> list[Finding]:
        """Compare what visitors hold with the truth, when everything is applied.

        Args:
            acting: users with an event that counts.
            offered: items of the catalogue.
            wait: lets so many seconds pass.
        """
        deadline_s = time.monotonic() + SETTLED_S
        while True:
            stale, unready = self._stale(acting), self._unready(offered)
            if not (stale or unready) or time.monotonic() > deadline_s:
                break
            wait(PAUSE_S)
        bad = {code: count for code, count in self.codes.items() if code not in ALLOWED}
        lists = sum(self.codes.values())
        return [
            Finding("lists", lists, sum(bad.values()), [f"status {code}" for code in bad]),
            Finding("feeds", len(FEEDS), len(stale), stale),
            Finding("server", 1, len(unready), unready),
        ]

    def _stale(self, acting: Mapping[str, UserTruth]) -> list[str]:
        """Return the feeds that do not hold the state of their users."""
        wrong = []
        for user in FEEDS:
            held, truth = self.applied.get(user), acting.get(user)
            # Impressions alone push no list: it would be shown, and make more of them.
            least, most = (truth.interacted_at, truth.applied) if truth else (0, 0)
            if held is None or not least <= held <= most:
                wrong.append(f"{user} holds {held}, not {least} to {most}")
        return wrong

    def _unready(self, offered: int) -> list[str]:
        """Return what is wrong with the server, nothing when it is well."""
        try:
            answer = httpx.get(f"{self._url}/readyz", timeout=TIMEOUT_S)
        except httpx.HTTPError as error:
            return [repr(error)]
        health = answer.json()
        items, missing = health.get("items"), health.get("missing", [])
        if answer.status_code != 200 or items != offered or missing:
            return [f"/readyz: {answer.status_code}, {items} items of {offered}, missing {missing}"]
        return []

    def _ask(self) -> None:
        number = 0
        with httpx.Client(base_url=self._url, timeout=TIMEOUT_S) as client:
            while not self._ending.wait(ASK_S):
                self._going.wait()
                number += 1
                with self._asking:
                    if not self._going.is_set():  # paused since
                        continue
                    query = {"user": f"user-{number % self._users}", "k": K, "seed": number}
                    try:
                        answer = client.post("/v1/recommendations", json=query)
                        self.codes[answer.status_code] += 1
                    except httpx.HTTPError:
                        self.codes[0] += 1

    def _follow(self, user: str) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(OSError, WebSocketException):
                self._hold(user)
            self.applied.pop(user, None)  # a page without a feed holds nothing that is new
            self._ending.wait(PAUSE_S)

    def _hold(self, user: str) -> None:
        address = self._url.replace("http", "ws", 1) + "/v1/feed"
        with connect(address, open_timeout=TIMEOUT_S, close_timeout=1.0) as socket:
            socket.send(msgspec.json.encode({"user": user, "k": K}).decode())
            while not self._ending.is_set():
                with contextlib.suppress(TimeoutError):
                    self._note(user, msgspec.json.decode(socket.recv(timeout=RECEIVE_S)))

    def _note(self, user: str, message: Mapping[str, Any]) -> None:
        if "answer" in message:  # else there was no list to make
            as_of = message["answer"]["as_of"]
            self.applied[user] = as_of["applied"] if as_of else 0
