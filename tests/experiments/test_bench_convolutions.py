"""The benchmark of single convolutions: which it times, and on how much work."""

import jax
import pytest

from experiments.bench import convolutions


@pytest.mark.slow
def test_every_convolution_of_the_paper_and_its_operations():
    runs, operations = convolutions.contenders(1)
    # By hand, 2 a multiply-add: output pixels times maps times what each reads.
    conv2 = 2 * 27 * 27 * 256 * 5 * 5 * 48
    assert operations["conv2"] == conv2 and list(operations) == [f"conv{i}" for i in range(1, 6)]
    assert len(runs) == 3 * 5 - 1 and "conv1.input_gradient" not in runs
    shapes = {name: jax.tree.map(lambda x: x.shape, run()) for name, run in runs.items()}
    assert shapes["conv2.forward"] == [(1, 27, 27, 128)] * 2
    assert shapes["conv3.input_gradient"] == ([(1, 13, 13, 256)] * 2,)
    assert shapes["conv1.kernel_gradient"] == ([(11, 11, 3, 48)] * 2,)
