"""Numbers and times in words."""

import pytest

from alexnet_jax.system import progress
from alexnet_jax.system.progress import counted, duration


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (0.5, "0.5 steps")]
)
def test_one_is_singular(number, said):
    assert counted(number, "step") == said


def test_a_time_has_its_two_largest_units():
    seconds = (3, 130, 18_420, 172_000, 273_600)
    words = ["3 s", "2 min 10 s", "5 h 07 min", "47 h 46 min", "3 d 4 h"]
    assert list(map(duration, seconds)) == words


def test_without_a_terminal_lines_have_the_images_done_and_the_time_left(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.ImageProgress(60, "validation", verb="evaluating") as images:
        for _ in range(4):
            now[0] += 4.0
            images.advance(12)
        now[0] += 4.0
        images.advance(12)
    assert capsys.readouterr().err.splitlines() == [
        "evaluating validation: 24/60 images, 3 images/s, 12 s left",
        "evaluating validation: 48/60 images, 3 images/s, 4 s left",
        "evaluating validation: 60/60 images, 3 images/s, 0 s left",
    ]
