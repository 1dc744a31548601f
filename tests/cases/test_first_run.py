"""A first run that would fail without a word: too narrow a net, a loss that stays at chance."""

import pytest

from alexnet_jax.net import resolving
from alexnet_jax.net.variants import ARCHITECTURES
from tests.support import commands, tiny


@pytest.mark.parametrize(("width", "factor"), [(0.25, 2.0), (0.5, 2**0.5), (2.0, 0.5**0.5)])
def test_a_narrow_nets_weights_are_larger(width, factor):
    """The initial deviations follow the width; at width 1 they are the text's."""
    model = resolving.overrides("paper")
    assert resolving.resolve(model).init == ARCHITECTURES["paper"].init
    model.width = width
    std = resolving.resolve(model).init.std
    assert std.conv1 == 0.01  # it reads the image
    assert (std.conv2, std.conv4, std.fc7, std.fc8) == pytest.approx([0.01 * factor] * 4, rel=1e-12)


def test_a_run_that_ends_at_chance_says_so_last(tmp_path):
    """A run that ends at chance says so last, with the doctor's command."""
    tiny.write_images(tmp_path)
    workdir = tmp_path / "run"
    done = commands.run("main", *tiny.run_flags(tmp_path, workdir, epochs=1))
    *_, last = done.err.splitlines()
    assert done.code == 0 and last.startswith(
        "the run ends at chance: its validation loss is 1.099"
    )
    assert last.endswith(f"python -m alexnet_jax.doctor --workdir={workdir}")
