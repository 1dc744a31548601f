"""The signal of a narrow or wide net has the size that it has at width 1, in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net import resolving
from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.parameters import merge, params_of, structure_of
from alexnet_jax.net.variants import ARCHITECTURES
from tests.support.narrow_nets import fast_jit


def arch_of(name: str, width: float = 1.0, **std: float):
    model = resolving.overrides(name)
    model.width = width
    for layer, value in std.items():
        model.init.std[layer] = value
    return resolving.resolve(model)


@functools.cache
def signal(name: str, width: float, draws: int) -> dict[str, float]:
    """Layer -> how far images differ in its product: a root mean square over draws, in float64."""
    arch = arch_of(name, width)
    draw = fast_jit(lambda key: params_of(AlexNet(arch, key=key)))
    drawn = [jax.device_get(draw(jax.random.key(seed))) for seed in range(draws)]
    names = tuple(layer.name for layer in arch.layers)
    images = np.random.default_rng(0).normal(0, 60, (6, arch.image_size, arch.image_size, 3))
    with jax.enable_x64(True):
        structure = structure_of(dataclasses.replace(arch, compute_dtype="float64"))

        @fast_jit
        def differ(params):
            net = merge(structure, params)
            _, kept = net(jnp.asarray(images), activations=names)
            assert all(kept[name].dtype == jnp.float64 for name in names[:-1])
            return {name: jnp.mean(jnp.var(kept[name], axis=1)) for name in names}

        squares = [differ(jax.tree.map(np.float64, params)) for params in drawn]
        return {k: float(np.sqrt(np.mean([each[k] for each in squares]))) for k in names}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "draws"),
    [("small", 0.25, 2), ("small", 0.5, 2), ("cifar26", 0.5, 12), ("cifar26", 2.0, 12)],
)
def test_the_signal_has_the_size_of_width_1(name, width, draws):
    whole, narrow = signal(name, 1.0, draws), signal(name, width, draws)
    for layer, size in whole.items():
        assert narrow[layer] == pytest.approx(size, rel=0.2), layer


def deviations(arch) -> dict[str, float]:
    return {layer.name: getattr(arch.init.std, layer.name) for layer in arch.layers}


@pytest.mark.parametrize("name", ["paper", "code2012", "six_conv_fall2011", "cifar18", "owt"])
def test_at_width_1_the_values_are_those_of_the_table(name):
    assert arch_of(name).init == ARCHITECTURES[name].init


def test_the_deviation_goes_with_the_root_of_the_inputs():
    # conv1 reads the image at any width; fc6 reads the pixels of conv5, whose number stays.
    expected = {"conv1": 0.01, **dict.fromkeys(("conv2", "fc6", "fc7", "fc8"), 0.02)}
    expected |= dict.fromkeys(("conv3", "conv4", "conv5"), 0.06)
    assert deviations(arch_of("code2012", 0.25)) == pytest.approx(expected, rel=1e-12)
    # 48 channels become 1 and not 0.96; 128 become 3 and not 2.56.
    found = deviations(arch_of("paper", 0.02))
    assert found["conv2"] == pytest.approx(0.01 * 48**0.5, rel=1e-12)
    assert found["conv3"] == pytest.approx(0.01 * (128 / 3) ** 0.5, rel=1e-12)


def test_what_is_set_is_drawn_as_it_is_and_what_is_dropped_passes_its_inputs_on():
    assert deviations(arch_of("paper", 0.25, conv4=0.03))["conv4"] == 0.03
    model = resolving.overrides("six_conv")
    model.width, model.drop_layers = 0.25, "conv4,conv5"
    assert resolving.resolve(model).init.std.conv6 == pytest.approx(0.06, rel=1e-12)
    model.init.scale_with_width = False
    assert resolving.resolve(model).init.std.conv6 == 0.03
