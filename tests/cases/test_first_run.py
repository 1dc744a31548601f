"""A first run that would fail without a word: too narrow a net, a loss that stays at chance."""

import pytest

from alexnet_jax.net import resolving
from alexnet_jax.net.architectures import ARCHITECTURES


@pytest.mark.parametrize(("width", "factor"), [(0.25, 2.0), (0.5, 2**0.5), (2.0, 0.5**0.5)])
def test_a_narrow_nets_weights_are_larger(width, factor):
    """The initial deviations follow the width; at width 1 they are the text's."""
    model = resolving.overrides("paper")
    assert resolving.resolve(model).init == ARCHITECTURES["paper"].init
    model.width = width
    std = resolving.resolve(model).init.std
    assert std.conv1 == 0.01  # it reads the image
    assert (std.conv2, std.conv4, std.fc7, std.fc8) == pytest.approx([0.01 * factor] * 4, rel=1e-12)
