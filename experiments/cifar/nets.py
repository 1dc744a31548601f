"""Nets for pictures of 32x32 pixels: those of the released program's example-layers/.

They are not in alexnet_jax's table of architectures: they have one column, average pooling and
response normalization over pixels. A net is a tuple of rows; parameters are
{layer: {"kernel", "bias"}}.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from alexnet_jax.net import pooling, response_norm
from alexnet_jax.net.architecture import SpatialNorm
from alexnet_jax.system.random_streams import stream
from experiments.cifar.dataset import CLASSES, SIDE

Params = dict[str, dict[str, Array]]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}
KERNEL, WINDOW, STRIDE = 5, 3, 2  # pixels: convolutions, pooling
NORM = SpatialNorm(n=3, k=1.0, alpha=5e-5, beta=0.75)  # rnorm: sizeX, scale (over n * n), pow


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer: its product, its non-linearity, then pooling and normalization."""

    name: str
    outputs: int
    std: float  # initW; biases begin at 0
    decay: float  # wc; of the kernel only
    pool: str = ""  # max | avg; "": none, and the product is a matrix
    norm: bool = False
    active: bool = True


def _convolutions(norm: bool) -> tuple[Row, ...]:
    return (
        Row("conv1", 32, 0.0001, 0.004, "max", norm),
        Row("conv2", 32, 0.01, 0.004, "avg", norm),
        Row("conv3", 64, 0.01, 0.004, "avg"),
    )


NETS = {
    # layers-18pct.cfg, layer-params-18pct.cfg: four layers with weights.
    "18pct": (*_convolutions(norm=True), Row("fc10", CLASSES, 0.01, 1.0, active=False)),
    # layers-80sec.cfg, layer-params-80sec.cfg.
    "80sec": (
        *_convolutions(norm=False),
        Row("fc64", 64, 0.1, 0.03),
        Row("fc10", CLASSES, 0.1, 0.03, active=False),
    ),
}


def without_regularization(net: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the net with neither weight decay nor normalization."""
    return tuple(dataclasses.replace(row, decay=0.0, norm=False) for row in net)


def initial(net: tuple[Row, ...], key: Array) -> Params:
    """Draw a net's parameters, kernels N(0, std^2), biases 0."""
    size, channels, params = SIDE, 3, {}
    for row in net:
        if row.pool:
            shape: tuple[int, ...] = (KERNEL, KERNEL, channels, row.outputs)
            size, channels = pooling.pooled(size, WINDOW, STRIDE, ceil=True), row.outputs
        else:
            shape = (size * size * channels, row.outputs)
            size, channels = 1, row.outputs
        params[row.name] = {
            "kernel": row.std * jax.random.normal(stream(key, row.name), shape),
            "bias": jnp.zeros((row.outputs,)),
        }
    return params


def logits(net: tuple[Row, ...], activation: str, params: Params, images: Array) -> Array:
    """Apply the net to images minus the mean, (B, 32, 32, 3) float32 -> (B, classes)."""
    x, active = images, ACTIVATIONS[activation]
    for row in net:
        kernel, bias = params[row.name]["kernel"], params[row.name]["bias"]
        if row.pool:
            # XLA's own convolution: for such small kernels net.convolution's gradient is slower.
            dims = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dims)
            if row.pool == "max":
                # Before bias and activation: neither changes which is largest, and what follows,
                # with its gradient, is a quarter of the work.
                x = pooling.max_pool(x, window=WINDOW, stride=STRIDE, ceil=True)
        else:
            x = lax.dot(x.reshape(x.shape[0], -1), kernel)
        x = x + jnp.broadcast_to(bias, x.shape)
        x = active(x) if row.active else x
        if row.pool == "avg":
            x = avg_pool(x, window=WINDOW, stride=STRIDE, ceil=True)
        if row.norm:
            constants = {"k": NORM.k, "alpha": NORM.alpha, "beta": NORM.beta}
            x = response_norm.spatial_response_norm(x, n=NORM.n, **constants)
    return x


def avg_pool(x: Array, *, window: int, stride: int, ceil: bool) -> Array:
    """Mean of each window x window patch, patches `stride` apart, (B, H, W, C).

    If a last patch overhangs the image (`ceil`), the mean is over the pixels inside the image
    (conv_util.cuh: AvgPooler divides by the region's size).
    """
    for axis in (1, 2):
        x = _avg_along(x, axis, window, stride, ceil)
    return x


def _avg_along(x: Array, axis: int, window: int, stride: int, ceil: bool) -> Array:
    size = x.shape[axis]
    places = pooling.pooled(size, window, stride, ceil)
    last = (places - 1) * stride
    more = max(0, last + window - size)
    pads = [(0, more if a == axis else 0, 0) for a in range(x.ndim)]
    x = lax.pad(x, jnp.zeros((), x.dtype), pads)
    parts = [lax.slice_in_dim(x, start, start + last + 1, stride, axis) for start in range(window)]
    inside = np.minimum(np.arange(places) * stride + window, size) - np.arange(places) * stride
    shape = [-1 if a == axis else 1 for a in range(x.ndim)]
    weights = jnp.asarray(1 / inside, x.dtype).reshape(shape)
    return sum(parts[1:], parts[0]) * jnp.broadcast_to(weights, parts[0].shape)
