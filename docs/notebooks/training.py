# %% [markdown]
# # The training
#
# The paper's update by hand, its plateau rule, and what dropout does on small pictures. It takes
# about a minute on two CPU cores, or three on slow ones.

# %%
import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax import recipe
from alexnet_jax.step.optimizer import make_optimizer
from alexnet_jax.step.schedule import after_validation, make_plateau
from alexnet_jax.train import train

runs = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# ## The update
#
# Paper 5: v <- 0.9 v - 0.0005 lr w - lr g, then w <- w + v. The rate is inside the velocity.

# %%
config = recipe("ilsvrc2012")
tx = make_optimizer(config.optimizer)
params = {"conv1": {"kernel": jnp.array([1.0, -2.0])}}
state, w, v = tx.init(params), np.array([1.0, -2.0]), np.zeros(2)
for step in range(3):
    g = np.array([0.5, 0.1 * step])
    v = 0.9 * v - 0.0005 * 0.01 * w - 0.01 * g
    w = w + v
    updates, state = tx.update({"conv1": {"kernel": jnp.asarray(g, jnp.float32)}}, state, params)
    params = jax.tree.map(jnp.add, params, updates)
update_error = float(abs(params["conv1"]["kernel"] - w).max())
print(w, params["conv1"]["kernel"], update_error)

# %% [markdown]
# ## The plateau
#
# "divide the learning rate by 10 when the validation error rate stopped improving": here after
# `schedule.patience` validations in a row without improvement.

# %%
plateau = make_plateau(config.schedule)
now, scales = plateau.init(jnp.zeros(())), []
for error in [0.9, 0.8, 0.7] + [0.7] * 7:
    now = after_validation(plateau, now, error)
    scales.append(float(now.scale))
print([round(scale, 3) for scale in scales])

# %% [markdown]
# ## Dropout
#
# The net of small pictures on drawn shapes, a tenth as wide, two epochs. Without dropout it
# learns faster: the paper says that dropout "roughly doubles the number of iterations required to
# converge".


# %%
def losses(rate: float) -> list[float]:
    """Train with this dropout rate; return the training loss by epoch."""
    config = recipe("quickstart")
    config.epochs = 2
    config.model.width = 0.1
    config.model.dropout.rate = rate
    config.data.prepared_dir = str(runs / "prepared")
    config.mesh.cpu_devices = 1
    config.log.every_steps = 125  # an epoch
    workdir = runs / f"dropout_{rate}"
    train(config, workdir)
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["split"] == "train"]


with_dropout, without = losses(0.5), losses(0.0)
print([round(loss, 2) for loss in with_dropout])
print([round(loss, 2) for loss in without])
