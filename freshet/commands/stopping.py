"""What a signal that asks for the end does to a command that works for long."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether SIGTERM or SIGINT came; what is under way is finished first."""
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda found, _frame: asked.append(found))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stop:
    """Whether a person or a supervisor asked for the end, and by which signal.

    Attributes:
        signal: number of the first signal, 0 = none came.
        gently: whether the first signal lets what is under way finish; otherwise, and from the
            second on, a signal interrupts.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.gently = False

    def __call__(self) -> bool:
        """Return whether the end was asked for."""
        return self.signal != 0

    @property
    def exit_code(self) -> int:
        """Return the exit code that says so, as shells have it: 130 for Ctrl-C."""
        return 128 + self.signal

    def note(self, number: int, _frame: object) -> None:
        """Take a signal.

        Raises:
            KeyboardInterrupt: it interrupts.
        """
        first, self.signal = not self.signal, self.signal or number
        if not (first and self.gently):
            raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Yield what SIGINT and SIGTERM do to a command that is to end in order."""
    stop = Stop()
    before = {each: signal.signal(each, stop.note) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end what is under way as Ctrl-C does: what it began is cleared away."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
