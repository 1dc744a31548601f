# %% [markdown]
# # The net
#
# AlexNet has two columns, because in 2012 it did not fit on one GPU. This notebook builds it,
# runs it, looks at what crosses between the columns, and computes response normalization by hand.

# %%
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from alexnet_jax import AlexNet, architecture, local_response_norm

arch = architecture("small", classes=10)  # the paper's net for views of 56 pixels
net = AlexNet(arch, key=jax.random.key(0))
images = jax.random.uniform(jax.random.key(1), (4, 56, 56, 3), maxval=255) - 128
logits, _ = net(images)
print(logits.shape)

# %% [markdown]
# ## Two columns
#
# Every parameter of a column has the column as its first axis. fc8 belongs to both columns: each
# makes half of a product, and the halves are added up.

# %%
for path, value in nnx.to_flat_state(nnx.state(net)):
    print(".".join(map(str, path)), value.shape)

# %%
names = ("norm1", "pool1", "pool2", "relu3", "relu4", "pool5", "relu6", "relu7")
_, kept = net(images, activations=names)
for name, value in kept.items():
    print(name, value.shape)  # (columns, images, height, width, channels)

# %% [markdown]
# ## What crosses
#
# conv3, fc6 and fc7 read both columns; conv2, conv4 and conv5 read their own. So a change in
# column 2's pool1 reaches column 1 at conv3, not before.


# %%
def column_1_at(name: str, scale: float) -> np.ndarray:
    """Return column 1's values where column 2's kernels of conv1 are scaled."""
    other = nnx.clone(net)
    conv1 = other.blocks[0].product
    conv1.kernel[...] = conv1.kernel[...].at[1].multiply(scale)
    return np.asarray(other(images, activations=(name,))[1][name][0])


changed = {
    name: bool((column_1_at(name, 1.0) != column_1_at(name, 2.0)).any())
    for name in ("pool1", "pool2", "relu3")
}
print(changed)

# %% [markdown]
# ## Response normalization
#
# Paper 3.3: b = a / (k + alpha * sum of a^2 over n neighbouring channels)^beta, within a column.

# %%
_, kept = net(images, activations=("relu1", "norm1"))
a, b = (np.asarray(kept[name][0, 0, 13, 13], np.float64) for name in ("relu1", "norm1"))  # a pixel
by_hand = np.array(
    [a[i] / (2 + 1e-4 * (a[max(0, i - 2) : i + 3] ** 2).sum()) ** 0.75 for i in range(len(a))]
)
ours = local_response_norm(jnp.asarray(a, jnp.float32))
error = max(abs(by_hand - b).max(), abs(by_hand - np.asarray(ours)).max()) / abs(by_hand).max()
print(f"largest relative difference: {error:.1e}")
