"""Signals: remembered by who finishes first, an interruption to who may be cut off."""

import os
import signal

import pytest

from freshet.commands.stopping import asked_to_stop, interrupted_by_sigterm


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered(number: signal.Signals) -> None:
    """And the handlers from before are back in the end."""
    before = signal.getsignal(number)
    with asked_to_stop() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
    assert signal.getsignal(number) is before


def test_sigterm_interrupts() -> None:
    """As Ctrl-C does."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupted_by_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
