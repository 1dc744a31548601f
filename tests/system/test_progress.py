"""Numbers and times in words."""

import pytest

from alexnet_jax.system.progress import counted, duration


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (0.5, "0.5 steps")]
)
def test_one_is_singular(number, said):
    assert counted(number, "step") == said


def test_a_time_has_its_two_largest_units():
    assert [duration(s) for s in (3, 130, 18_420)] == ["3 s", "2 min 10 s", "5 h 07 min"]
