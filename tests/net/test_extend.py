"""A norm, an activation and a pooling from outside the package, as docs/extend.md has them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import listing
from alexnet_jax.net.operations import ACTIVATIONS, NORMS, POOLS, PerColumn
from alexnet_jax.net.resolving import architecture, resolve
from alexnet_jax.net.variants import ARCHITECTURES
from alexnet_jax.train import train
from tests.support import tiny
from tests.support.narrow_nets import draw_images, draw_params, make_arch, run, shapes

PAGE = (tiny.REPOSITORY / "docs/extend.md").read_text()
RECIPE, FUNCTIONS, CLASS, NET = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(autouse=True)
def entries_for_this_test():
    """Take out again what a test adds."""
    tables: tuple[dict, ...] = (ACTIVATIONS, ARCHITECTURES, NORMS, POOLS)
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def execute(lines: str) -> dict:
    names = {}
    exec(compile(lines, "docs/extend.md", "exec"), names)
    return names


def rms(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.slow
def test_fifteen_lines_train_and_evaluate_a_net_with_another_norm(tmp_path):
    def rms_norm(x):
        return x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)

    NORMS["rms"] = lambda arch, channels: PerColumn(rms_norm)
    config = tiny.config(tiny.write_images(tmp_path), model__norm="rms", epochs=1)
    result = train(config, tmp_path / "run")
    assert np.isfinite(result["loss"]) and result["images"] == tiny.VALIDATION


def test_the_recipe_of_the_page():
    assert execute(RECIPE)["get_config"]().model.norm == "rms"
    arch = make_arch(norm="rms")
    _, kept = run(arch, draw_params(arch), draw_images())
    for number in "12":
        close(kept[f"norm{number}"], rms(kept[f"relu{number}"]))


def test_the_activation_and_the_pooling_of_the_page():
    execute(FUNCTIONS)
    arch = make_arch(activation="gelu", pool__kind="mean", pool__window=2)
    _, kept = run(arch, draw_params(arch), draw_images())
    close(kept["gelu1"], np.asarray(jax.nn.gelu(kept["conv1"])))
    x = kept["norm1"].astype(np.float64)  # 23 pixels, windows of 2 at 0, 2, ..., 20
    sides = [x[:, :, :, start : start + 21 : 2] for start in (0, 1)]
    expected = sum(side[:, :, start : start + 21 : 2] for side in sides for start in (0, 1)) / 4
    close(kept["pool1"], expected)
    assert kept["pool1"].shape[2:4] == (11, 11)


def test_the_class_of_the_page_has_parameters_of_its_columns():
    execute(CLASS)
    arch = make_arch(norm="learned_rms")
    channels = arch.features("conv1")
    assert shapes(arch)["norm1"] == {"scale": (2, channels)}
    params = draw_params(arch)
    _, kept = run(arch, params, draw_images())
    scale = params["norm1"]["scale"][:, None, None, None]
    close(kept["norm1"], rms(kept["relu1"]) * scale)


def test_a_name_that_nothing_has_entered_is_refused():
    with pytest.raises(ConfigError, match="model.norm is one of lrn, batch, layer, group, none"):
        make_arch(norm="rms")
    with pytest.raises(ConfigError, match="model.pool.kind is one of max, avg; got 'mean'"):
        make_arch(pool__kind="mean")


def test_the_net_of_the_page():
    config = execute(NET)["get_config"]()
    arch = resolve(config.model)
    rows = {row.layer.name: row for row in listing.rows(arch)}
    # (56 - 7) / 2 rounded up, and one: 26. All else is the net of small pictures.
    assert (arch.name, rows["conv1"].product) == ("seven", (26, 26, 48))
    assert listing.count(arch) - listing.count(architecture("small")) == 96 * 3 * (7**2 - 5**2)
