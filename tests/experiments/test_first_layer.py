"""The nets that differ in conv1: what fc6 reads of each, and that each has the same signal."""

import math

import pytest

from alexnet_jax.net import listing
from alexnet_jax.net.resolving import resolve
from alexnet_jax.net.variants import ARCHITECTURES
from experiments.support.recipe import read_config
from experiments.sweeps import first_layer
from tests.support import tiny

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

CONFIG = f"--config={tiny.REPOSITORY}/experiments/sweeps/first_layer.py"
# (56 - kernel) / stride, then three poolings of 3x3 with stride 2, all rounded up.
SIDES = {"5x5,stride=2": 3, "3x3,stride=2": 3, "7x7,stride=2": 3, "11x11,stride=4": 1}
SIDES["5x5,stride=1"] = 6


@pytest.fixture(autouse=True)
def _nets_of_the_package_only():
    """Take back the nets that the recipe enters."""
    before = dict(ARCHITECTURES)
    yield
    ARCHITECTURES.clear()
    ARCHITECTURES.update(before)


@pytest.mark.parametrize("setting", first_layer.settings(), ids=lambda setting: setting.name)
def test_each_kernel_leaves_its_pixels_and_the_same_signal(setting):
    given = [f"--config.{name}={value}" for name, value in setting.overrides]
    arch = resolve(read_config([CONFIG, *given]).model, 50)
    kernel = int(setting.name.split("x")[0])
    side = SIDES[setting.name]
    shapes = {row.layer.name: row.output for row in listing.rows(arch)}
    assert shapes["conv5"][:2] == (side, side)
    products = {"conv1": kernel * kernel * 3, "fc6": side * side * shapes["conv5"][2] * 2}
    signal = {
        name: getattr(arch.init.std, name) * math.sqrt(count) for name, count in products.items()
    }
    # Of the miniature: 0.04 for 75 products of conv1, 0.04 for 576 of fc6.
    assert signal["conv1"] == pytest.approx(0.04 * math.sqrt(75), rel=1e-3)
    assert signal["fc6"] == pytest.approx(0.04 * math.sqrt(576), rel=1e-3)
