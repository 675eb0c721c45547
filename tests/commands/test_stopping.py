"""Signals: remembered by who finishes first, an interruption to who may be cut off."""

import os
import signal

import pytest

from freshet.commands.stopping import asked_to_stop, interrupted_by_sigterm, stop_signals


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_gentle_stop_lets_the_first_signal_finish(number: signal.Signals, code: int) -> None:
    """The second interrupts, and the exit code is that of the first."""
    before = signal.getsignal(number)
    with stop_signals() as stop:
        stop.gently = True
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.exit_code == code
    assert signal.getsignal(number) is before


def test_before_there_is_something_to_finish_a_signal_interrupts() -> None:
    """At once."""
    with stop_signals() as stop, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.exit_code == 143
