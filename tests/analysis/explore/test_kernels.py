"""Which inputs a unit weighs most, beside plain loops."""

import numpy as np
import pytest

from alexnet_jax.analysis.explore import kernels
from alexnet_jax.net import listing
from tests.support.explored import unpack
from tests.support.narrow_nets import draw_params, make_arch

NET = make_arch()
PARAMS = draw_params(NET)
ROWS = {row.layer.name: row for row in listing.rows(NET)}


@pytest.mark.parametrize(("name", "before"), [("conv2", "conv1"), ("conv3", "conv2")])
def test_slices_are_those_of_the_kernel(name, before):
    layer, values, channels = ROWS[name].layer, PARAMS[name]["kernel"], ROWS[before].output[-1]
    found = kernels.shown(NET, layer, values, channels)
    slices = unpack(found["slices"])
    for column, unit in ((0, 0), (1, 5)):
        kernel = values[column, :, :, :, unit]
        energy = np.square(kernel.astype(np.float64)).sum(axis=(0, 1))
        best = np.argsort(-energy)[: kernels.MOST]
        shift = 0 if name == "conv3" else column * channels  # conv3 reads both columns
        assert found["inputs"][column][unit] == (best + shift).tolist()
        expected = kernel[:, :, best].transpose(2, 0, 1)
        np.testing.assert_allclose(slices[column, unit], expected, rtol=2.0**-11, atol=1e-9)


@pytest.mark.parametrize(("name", "before"), [("fc6", "conv5"), ("fc7", "fc6")])
def test_units_that_read_both_columns_name_their_maps(name, before):
    layer, values, shape = ROWS[name].layer, PARAMS[name]["kernel"], ROWS[before].output
    found = kernels.shown(NET, layer, values, shape[-1])
    assert "slices" not in found
    for column, unit in ((0, 3), (1, 70)):
        weights = values[column, :, unit].astype(np.float64).reshape(2, *shape)
        energy = [
            np.square(weights[c, ..., channel]).sum()
            for c in range(2)
            for channel in range(shape[-1])
        ]
        best = np.argsort(-np.array(energy))[: kernels.MOST]
        assert found["inputs"][column][unit] == best.tolist()


def test_the_first_kernels_are_whole():
    found = kernels.shown(NET, ROWS["conv1"].layer, PARAMS["conv1"]["kernel"], 3)
    expected = PARAMS["conv1"]["kernel"].transpose(0, 4, 3, 1, 2)
    assert list(found) == ["slices"]
    np.testing.assert_allclose(unpack(found["slices"]), expected, rtol=2.0**-11, atol=1e-9)
