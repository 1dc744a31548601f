"""The whole net against the numbers that experiments/parity.py stored from PyTorch in float64."""

import numpy as np
import pytest

from experiments import parity

TOLERANCE = 1e-5  # float32's own error is about 2e-6, PyTorch's too


@pytest.fixture(scope="module", params=[1, 2], ids=["one column", "two columns"])
def answers(request):
    """(ours, PyTorch's) for a net of so many columns."""
    with np.load(parity.stored(request.param)) as file:
        reference = dict(file)
    # Not the net's business: were this to fail, NumPy would draw other numbers from the same seed.
    np.testing.assert_array_equal(parity.last_drawn(request.param), reference.pop("inputs"))
    return parity.summary(*parity.ours(request.param)), reference


def test_logits_and_every_gradient_are_pytorchs(answers):
    ours, reference = answers
    assert ours.keys() == reference.keys()
    assert len(reference) == 1 + 3 * 16
    table = parity.errors(ours, reference)
    wrong = {name: row for name, row in table.items() if max(row.values()) >= TOLERANCE}
    assert not wrong


def test_no_gradient_is_trivially_right(answers):
    _, reference = answers
    assert reference["logits"].std() > 1
    for name, samples in reference.items():
        if name.endswith("/samples"):
            assert np.count_nonzero(samples) > 0.1 * samples.size, name
