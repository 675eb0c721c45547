"""The people of an invented world, looking at the real feed and acting as their truth says."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from freshet.core.clock import Clock
from freshet.core.events.schema import Event, EventType
from replay.feed_client import FeedClient
from replay.generated_log import item_id, user_id
from replay.world import EXAMINATION, World
from serving.answer import Query

LIST_LENGTH = 10
FAD_VISITS = 150  # so many visits a fad lasts
FAD_SHARE = 0.25  # of the visits click the fad, wherever they heard of it
FADING = 0.8  # examination of a position against the one above it, below the known ones


@dataclass(slots=True)
class Audience:
    """Visits the feed, one person at a time.

    Whoever likes an item clicks it, and hides what fits them badly, as often as the world says.

    Attributes:
        world: what is true of the people.
        client: of the feed.
        wall_ms: time stamps of the events.
        rng: draws who comes, and what is clicked or hidden.
        time_s: seconds from the start of the log, for tastes.
    """

    world: World
    client: FeedClient
    wall_ms: Clock
    rng: np.random.Generator
    time_s: float
    visits: int = 0
    clicks: int = 0
    hides: int = 0
    _fad: int = 0
    _last: dict[int, int] = field(default_factory=dict)

    def visit(self) -> str:
        """Let one person look at the feed and perhaps click.

        Returns:
            The version of the model that made the list, "" when there was none.

        Raises:
            ServiceError: the feed did not answer.
        """
        if self.visits % FAD_VISITS == 0:
            self._fad = int(self.rng.integers(len(self.world.titles)))
        self.visits += 1
        weights = self.world.activity / self.world.activity.sum()
        user = int(self.rng.choice(len(weights), p=weights))
        answer = self.client.recommend(Query(user=user_id(user), k=LIST_LENGTH))
        items = np.array([int(item.item_id[1:]) for item in answer.items], np.int64)
        clicked = self._clicked(user, items)
        for position in np.flatnonzero(clicked).tolist():
            self._click(user, int(items[position]), answer.request_id, position)
        for position in np.flatnonzero(self._hidden(user, items) & ~clicked).tolist():
            self.hides += 1
            self._send("hide", user, int(items[position]), answer.request_id, position)
        if self.rng.random() < FAD_SHARE:
            self._click(user, self._fad, None, None)
        return answer.model_version

    def _clicked(self, user: int, items: np.ndarray) -> np.ndarray:
        """Return (n,) bool: which items of a list this person clicks."""
        chance = self.world.click_probability(
            np.full(len(items), user),
            items,
            np.full(len(items), self._last.get(user, -1)),
            positions=_known(len(items)),
            time_s=np.full(len(items), self.time_s),
        )
        return np.asarray(self.rng.random(len(items)) < chance * _faded(len(items)))

    def _hidden(self, user: int, items: np.ndarray) -> np.ndarray:
        """Return (n,) bool: which items of a list this person would hide."""
        chance = self.world.rejection_probability(
            np.full(len(items), user),
            items,
            positions=_known(len(items)),
            time_s=np.full(len(items), self.time_s),
        )
        return np.asarray(self.rng.random(len(items)) < chance * _faded(len(items)))

    def _click(self, user: int, item: int, request_id: str | None, position: int | None) -> None:
        self.clicks += 1
        self._last[user] = item
        self._send("click", user, item, request_id, position)

    def _send(
        self, kind: EventType, user: int, item: int, request_id: str | None, position: int | None
    ) -> None:
        event = Event(
            event_id=f"audience-{self.wall_ms()}-{self.clicks}-{self.hides}",
            type=kind,
            user_id=user_id(user),
            item_id=item_id(item),
            ts_ms=self.wall_ms(),
            request_id=request_id,
            position=position,
        )
        self.client.send([event])


def _known(length: int) -> np.ndarray:
    """Return (n,) the positions of a list, those below the known ones as the last of these."""
    return np.minimum(np.arange(length), len(EXAMINATION) - 1)


def _faded(length: int) -> np.ndarray:
    """Return (n,) how much less than the last known position each is examined."""
    return np.asarray(FADING ** (np.arange(length) - _known(length)))
