"""Signals: looked at between steps, or leaving at once."""

import os
import signal

import pytest

from alexnet_jax.system.interrupt import Interrupt, Stopped, stop_at_once

# 128 + the signal, as shells have it.
CODES = {
    signal.SIGTERM: 143,
    signal.SIGINT: 130,
    signal.SIGUSR1: 138,
    signal.SIGUSR2: 140,
    signal.SIGHUP: 129,
    signal.SIGXCPU: 152,
}


@pytest.fixture(autouse=True)
def _handlers():
    """Put back what the test replaces."""
    before = {number: signal.getsignal(number) for number in CODES}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", CODES)
def test_inside_a_signal_is_only_noted(number):
    before = {n: signal.getsignal(n) for n in CODES}
    with Interrupt() as interrupt:
        assert interrupt.asked(0) is None
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # and an impatient second one does not break the saving
        other = signal.SIGUSR1 if number == signal.SIGTERM else signal.SIGTERM
        os.kill(os.getpid(), other)
        assert interrupt.asked(1) == number
    assert {n: signal.getsignal(n) for n in CODES} == before


def test_handlers_come_back_after_an_error():
    before = {n: signal.getsignal(n) for n in CODES}
    with pytest.raises(ZeroDivisionError), Interrupt():
        raise ZeroDivisionError
    assert {n: signal.getsignal(n) for n in CODES} == before


@pytest.mark.parametrize(("number", "code"), CODES.items())
def test_outside_a_signal_stops_at_once(number, code):
    stop_at_once()
    with pytest.raises(Stopped) as stop:
        os.kill(os.getpid(), number)
    assert stop.value.exit_code == code
    assert str(stop.value).startswith(f"stopped by {number.name}: ")
    assert "\n" not in str(stop.value)
    # Nothing that mends exceptions on the way may take it for a failure.
    assert not isinstance(stop.value, Exception)


def test_what_is_left_is_said():
    stop = Stopped(signal.SIGTERM, "saved at step 12")
    assert str(stop) == "stopped by SIGTERM: saved at step 12" and stop.exit_code == 143


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop_at_once()
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interrupt.asked(0) is None
    os.kill(os.getpid(), signal.SIGHUP)
