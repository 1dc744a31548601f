# %% [markdown]
# # Change an idea
#
# A normalization of one's own in the place of LRN, two seeds of each, and whether the difference
# can be believed. It takes about a minute on two CPU cores, or three on slow ones.

# %%
import pathlib
import tempfile

import jax.numpy as jnp
import numpy as np
from jax import lax

from alexnet_jax import recipe
from alexnet_jax.net.operations import NORMS, PerColumn
from alexnet_jax.train import train

runs = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# A function of one column's values, (B, H, W, channels), entered under a name that `model.norm`
# takes:


# %%
def rms_norm(x):
    """Divide by the root of the mean square over the channels of a pixel."""
    return x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)


NORMS["rms"] = lambda arch, channels: PerColumn(rms_norm)


# %%
def error(norm: str, seed: int) -> float:
    """Train for one epoch on drawn shapes; return the top-1 error."""
    config = recipe("quickstart")
    config.epochs = 1
    config.seed = seed
    config.model.width = 0.1
    config.model.norm = norm
    config.data.prepared_dir = str(runs / "prepared")
    config.mesh.cpu_devices = 1
    return train(config, runs / f"{norm}_{seed}")["top1_error"]


errors = {norm: [error(norm, seed) for seed in (0, 1)] for norm in ("lrn", "rms")}
print(errors)

# %% [markdown]
# Both runs of a seed see the same images in the same order, with the same crops and masks, so
# they are paired. Of two pairs Student's interval is 12.7 standard errors wide on each side: two
# seeds tell a large difference only. `python -m experiments.sweeps.sweep` does this with any
# number of seeds.

# %%
difference = np.subtract(errors["rms"], errors["lrn"])
half = 12.706 * difference.std(ddof=1) / 2**0.5
low, high = difference.mean() - half, difference.mean() + half
print(f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
