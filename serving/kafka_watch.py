"""Whether Kafka answers: what is sent to it is refused at once while it does not.

Law: it is asked from a thread, so that nobody waits for the reply, and it is away after two
failures in a row: one slow reply is no fault. What changed is logged once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from freshet.core.errors import ServiceError

ASK_EVERY_S: Final = 1.0
TIMEOUT_S: Final = 2.0
FAILURES: Final = 2

log = logging.getLogger(__name__)


class KafkaWatch:
    """Asks Kafka now and then, and bounds what waits for it.

    Args:
        ask: returns whether Kafka answers within `TIMEOUT_S`; may block.
        waiting_bytes: returns how much waits for an acknowledgement.
        max_bytes: how much may.
        failures: failures in a row so far; `FAILURES` when Kafka is known to be away.

    Attributes:
        away: whether Kafka does not answer.
    """

    def __init__(
        self,
        ask: Callable[[], bool],
        waiting_bytes: Callable[[], int],
        max_bytes: int,
        *,
        failures: int = 0,
    ) -> None:
        self._ask = ask
        self._waiting_bytes = waiting_bytes
        self._max_bytes = max_bytes
        self._failures = failures
        self.away = failures >= FAILURES

    def require_room(self) -> None:
        """Refuse to take more for Kafka while it is away or late.

        Raises:
            ServiceError: send it again later.
        """
        if self.away:
            raise ServiceError("kafka", "does not answer; nothing was kept, send it again later")
        waiting = self._waiting_bytes()
        if waiting >= self._max_bytes:
            raise ServiceError(
                "kafka",
                f"{waiting} bytes wait for its acknowledgement, at most {self._max_bytes} may "
                "(FRESHET_INTAKE_MIB); nothing was kept, send it again later",
            )

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            self.note(await asyncio.to_thread(self._ask))
            await asyncio.sleep(ASK_EVERY_S)

    def note(self, answers: bool) -> None:
        """Take the outcome of a question."""
        self._failures = 0 if answers else self._failures + 1
        away = self._failures >= FAILURES
        if away and not self.away:
            log.error("Kafka does not answer: events are refused, answers are not logged")
        if self.away and not away:
            log.warning("Kafka answers again")
        self.away = away
