"""The clock: rates and shares of a time that the test sets."""

import pytest

from alexnet_jax.run import clock


@pytest.fixture
def seconds(monkeypatch):
    """A watch that stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    return now


def test_waiting_and_computing_add_up(seconds):
    timer = clock.Clock()
    for wait, compute in ((1.0, 0.5), (0.25, 0.75), (0.75, 0.75)):
        with timer.waiting():
            seconds[0] += wait
        seconds[0] += compute
    found = timer.read(batch_size=16)
    assert found == {
        "images_per_second": 3 * 16 / 4.0,
        "data_wait_ms": 1000 * 2.0 / 3,
        "step_ms": 1000 * 2.0 / 3,
    }


def test_what_waits_for_the_device_is_not_waiting_for_data(seconds):
    timer = clock.Clock()
    with timer.waiting(4, for_data=False):
        seconds[0] += 2.0
    assert timer.read(batch_size=16) == {
        "images_per_second": 4 * 16 / 2.0,
        "data_wait_ms": 0.0,
        "step_ms": 500.0,
    }


def test_no_step_is_no_division_by_zero(seconds):
    timer = clock.Clock()
    seconds[0] += 2.0
    found = timer.read(batch_size=16)
    assert found == {"images_per_second": 0.0, "data_wait_ms": 0.0, "step_ms": 2000.0}
