"""Next-click quality on the part of a log that is still to come, in the order of time.

Law: predict before update. The log is cut into windows in which nobody clicks twice; the lists of a
window are asked for before any of its events is sent, each list as of the last event that was sent
of its person. The baseline, recent-popular, sees the same past: the items clicked most among the
last clicks, without those that the person has clicked.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from freshet.core.events.schema import Event

LIST_LENGTH = 20
RECENT_CLICKS = 2000
WINDOW_CLICKS = 50

Recommend = Callable[[str, str | None], Sequence[str]]
"""Returns the ids of a list, best first, for a user as of an event (None: as it is)."""


@dataclass(slots=True)
class Score:
    """Hit rate and mean reciprocal rank at `LIST_LENGTH`."""

    clicks: int = 0
    hits: int = 0
    reciprocal_ranks: float = 0.0

    def note(self, listed: Sequence[str], clicked: str) -> None:
        """Count a click that a list should have foreseen."""
        self.clicks += 1
        shown = list(listed[:LIST_LENGTH])
        if clicked in shown:
            self.hits += 1
            self.reciprocal_ranks += 1 / (shown.index(clicked) + 1)

    @property
    def hr20(self) -> float:
        """Share of clicks that were in the list, 0 without any."""
        return self.hits / self.clicks if self.clicks else 0.0

    @property
    def mrr20(self) -> float:
        """Mean of 1 / rank, 0 where the click was not in the list."""
        return self.reciprocal_ranks / self.clicks if self.clicks else 0.0


@dataclass(slots=True)
class RecentPopular:
    """The items clicked most among the last clicks."""

    _recent: deque[str] = field(default_factory=deque)
    _counts: Counter[str] = field(default_factory=Counter)
    _history: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def observe(self, events: Iterable[Event]) -> None:
        """Learn from events."""
        for event in events:
            if event.type != "click":
                continue
            self._history[event.user_id].add(event.item_id)
            self._recent.append(event.item_id)
            self._counts[event.item_id] += 1
            if len(self._recent) > RECENT_CLICKS:
                self._counts[self._recent.popleft()] -= 1

    def recommend(self, user_id: str) -> list[str]:
        """Return a list for a user."""
        clicked = self._history.get(user_id, set())
        wanted = LIST_LENGTH + len(clicked)
        popular = [item for item, count in self._counts.most_common(wanted) if count]
        return [item for item in popular if item not in clicked][:LIST_LENGTH]


def windows(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Cut events, in their order, into windows in which nobody clicks twice."""
    window: list[Event] = []
    clicked: set[str] = set()
    for event in events:
        if event.type == "click":
            if event.user_id in clicked or len(clicked) == WINDOW_CLICKS:
                yield window
                window, clicked = [], set()
            clicked.add(event.user_id)
        window.append(event)
    if window:
        yield window


def measure(
    future: Iterable[Event],
    recommend: Recommend,
    baseline: RecentPopular,
    send: Callable[[Sequence[Event]], None],
) -> tuple[Score, Score]:
    """Live through the future and score the lists of the product and of the baseline.

    Args:
        future: the events to come.
        recommend: asks the product.
        baseline: has observed the past.
        send: sends a window's events.

    Returns:
        The product's score and the baseline's.
    """
    product, popular = Score(), Score()
    last: dict[str, str] = {}
    for window in windows(future):
        for click in (event for event in window if event.type == "click"):
            listed = recommend(click.user_id, last.get(click.user_id))
            product.note(listed, click.item_id)
            popular.note(baseline.recommend(click.user_id), click.item_id)
        send(window)
        last.update((event.user_id, event.event_id) for event in window)
        baseline.observe(window)
    return product, popular
