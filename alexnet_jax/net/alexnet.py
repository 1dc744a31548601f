"""AlexNet as a Flax NNX module over columns: one forward pass for one device or two.

The paper's two GPUs are the two columns. `exchange` is where they talked: it joins the columns
that this device holds and, inside `jax.shard_map`, gathers the others. The whole net is a loop
over the rows of its arch.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import ops
from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.convolution import convolved
from alexnet_jax.net.layers import (
    ChannelNorm,
    Columns,
    Convolution,
    Initializer,
    Matrix,
    SummedMatrix,
)
from alexnet_jax.system.random_streams import per_example, stream

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}
CHANNEL_NORMS = ("batch", "layer", "group")
IMAGE_CHANNELS = 3


class AlexNet(nnx.Module):
    """The net of a arch (paper 3; figure 2).

    Built whole; `nnx.split` gives its parameters, of which a device may hold one column:

        model = AlexNet(arch, key=jax.random.key(0))
        logits, _ = model(images)                       # (B, 224, 224, 3) -> (B, classes)
        _, kept = model(images, activations=("fc7",))   # kept["fc7"]: (columns, B, 2048)
    """

    def __init__(self, arch: Architecture, *, key: Array):
        self.arch = arch
        draw = Initializer(arch.init, key)
        size, channels = arch.image_size, IMAGE_CHANNELS  # of what one column holds
        for layer in arch.layers:
            if not layer.kernel and size:
                size, channels = 0, size * size * channels  # flat from here on
            if not layer.identity:
                read = channels * (arch.columns if crosses(arch, layer) else 1)
                setattr(self, layer.name, _product(arch, layer, read, draw))
                channels = arch.features(layer.name)
                size = _conv_size(size, layer) if layer.kernel else 0
            if "norm" in layer.then and arch.norm in CHANNEL_NORMS:
                norm = ChannelNorm(arch.norm, arch.columns, channels)
                setattr(self, f"norm{layer.label}", norm)
            if "pool" in layer.then:
                size = _pool_size(size, arch)

    def __call__(
        self,
        images: Array,
        *,
        train: bool = False,
        dropout_key: Array | None = None,
        examples: Array | None = None,
        group_axis: str | None = None,
        data_axis: str | None = None,
        activations: Sequence[str] = (),
    ) -> tuple[Array, dict[str, Array]]:
        """Return logits and the named activations.

        Args:
          images: (B, image_size, image_size, 3) float, RGB 0-255 less the mean.
          train: dropout masks, batch statistics.
          dropout_key: typed key, shape (); needed in training where dropout.rate > 0.
          examples: places of these images in the global batch, (B,) int32; default 0..B-1.
          group_axis: mesh axis of the columns, inside shard_map; None: all are here.
          data_axis: mesh axis of the batch, inside shard_map.
          activations: any of conv1, relu1 (tanh1, sigmoid1), norm1, pool1, ..., fc8.

        Returns:
          Logits (B, classes) float32, and name -> (local columns, B, ...) in compute_dtype, but
          fc8's, which are float32.
        """
        if examples is None:
            examples = jnp.arange(images.shape[0], dtype=jnp.int32)
        run = _Run(self, train, dropout_key, examples, group_axis, data_axis)
        first: Convolution = getattr(self, self.arch.layers[0].name)
        local = first.kernel.shape[0]  # columns on this device
        xs: Columns = [images.astype(jnp.dtype(self.arch.compute_dtype))] * local
        kept: dict[str, Array] = {}
        for layer in self.arch.layers:
            for name, ys in run.layer(layer, xs):
                if name in activations:
                    kept[name] = jnp.stack(ys)
                xs = ys
        if missing := set(activations) - set(kept):
            raise ValueError(f"this net has no activation named {', '.join(sorted(missing))}")
        return xs[0], kept


class _Run:
    """One forward pass: the module and what it is called with."""

    def __init__(self, model, train, dropout_key, examples, group_axis, data_axis):
        self.model, self.arch = model, model.arch
        self.train, self.dropout_key, self.examples = train, dropout_key, examples
        self.group_axis, self.data_axis = group_axis, data_axis

    def layer(self, layer: Layer, xs: Columns):
        """Yield (name, columns) after the product and after each step that follows it."""
        with jax.named_scope(layer.name):
            if not layer.kernel and xs[0].ndim == 4:
                xs = [x.reshape(x.shape[0], -1) for x in xs]  # (B, 6, 6, C) -> (B, 36 C)
            if not layer.identity:
                xs = self.product(layer, xs)
                yield layer.name, xs
            for op in layer.then:
                name, xs = getattr(self, op)(layer.label, xs)
                yield name, xs

    def product(self, layer: Layer, xs: Columns) -> Columns:
        module = getattr(self.model, layer.name)
        if layer.reads == "sum":
            return [module(xs, self.group_axis)]
        if layer.reads == "image":
            return module.of_shared(xs[0])
        if crosses(self.arch, layer):
            return module.of_shared(self.exchange(xs))
        return module.of_own(xs)

    def exchange(self, xs: Columns) -> Array:
        """Join all columns along channels, column 0 first: what crosses between the GPUs."""
        own = jnp.concatenate(xs, axis=-1)
        if len(xs) == self.arch.columns:
            return own
        return lax.all_gather(own, self.group_axis, axis=own.ndim - 1, tiled=True)

    def activation(self, label: str, xs: Columns):
        kind = self.arch.activation
        return f"{kind}{label}", [ACTIVATIONS[kind](x) for x in xs]

    def pool(self, label: str, xs: Columns):
        pool = self.arch.pool
        return f"pool{label}", [
            ops.max_pool(x, window=pool.window, stride=pool.stride, ceil=pool.ceil) for x in xs
        ]

    def norm(self, label: str, xs: Columns):
        name, kind = f"norm{label}", self.arch.norm
        if kind == "lrn":
            return name, self._lrn(xs) if self.arch.lrn.enabled else xs
        if kind == "none":
            return name, xs
        module = getattr(self.model, name)
        return name, module(xs, train=self.train, data_axis=self.data_axis)

    def spatial_norm(self, label: str, xs: Columns):
        name, norm = f"spatial_norm{label}", self.arch.spatial_norm
        if not norm.enabled:
            return name, xs
        constants = {"n": norm.n, "k": norm.k, "alpha": norm.alpha, "beta": norm.beta}
        return name, [ops.spatial_response_norm(x, **constants) for x in xs]

    def _lrn(self, xs: Columns) -> Columns:
        lrn = self.arch.lrn
        constants = {"n": lrn.n, "k": lrn.k, "beta": lrn.beta}
        constants["alpha"] = lrn.alpha / lrn.n if lrn.alpha_over_n else lrn.alpha
        if lrn.scope == "column" or self.arch.columns == 1:
            return [ops.local_response_norm(x, **constants) for x in xs]
        whole = ops.local_response_norm(self.exchange(xs), **constants)
        channels = xs[0].shape[-1]
        return [
            lax.dynamic_slice_in_dim(whole, column * channels, channels, axis=3)
            for column in self._columns(len(xs))
        ]

    def _columns(self, local: int) -> list:
        """Return the numbers of the columns that are here."""
        if local == self.arch.columns:
            return list(range(local))
        return [lax.axis_index(self.group_axis)]

    def dropout(self, label: str, xs: Columns):
        name, rate, inverted = f"dropout{label}", self.arch.dropout.rate, self.arch.dropout.inverted
        if not rate or (inverted and not self.train):
            return name, xs
        if not self.train:  # the paper halves at test
            return name, [x * (1 - rate) for x in xs]
        if self.dropout_key is None:
            raise ValueError("training with dropout needs dropout_key")
        masked = [
            self._mask(stream(self.dropout_key, name, column), x, 1 - rate)
            for column, x in zip(self._columns(len(xs)), xs, strict=True)
        ]
        return name, [x / (1 - rate) for x in masked] if inverted else masked

    def _mask(self, key: Array, x: Array, keep: float) -> Array:
        def draw(key):
            return jax.random.bernoulli(key, keep, x.shape[1:])

        return jnp.where(jax.vmap(draw)(per_example(key, self.examples)), x, jnp.zeros_like(x))


def crosses(arch: Architecture, layer: Layer) -> bool:
    """Whether `layer` reads the other column too."""
    return layer.reads == "both" and arch.cross_columns


def _product(arch: Architecture, layer: Layer, read: int, draw: Initializer) -> nnx.Module:
    name, out = layer.name, arch.features(layer.name)
    if layer.kernel:
        shape: tuple[int, ...] = (arch.columns, layer.kernel, layer.kernel, read, out)
        stride, padding = layer.stride, layer.padding
        return Convolution(name, shape, stride=stride, padding=padding, ceil=layer.ceil, draw=draw)
    kind = SummedMatrix if layer.reads == "sum" else Matrix
    return kind(name, (arch.columns, read, out), draw=draw)


def _conv_size(size: int, layer: Layer) -> int:
    return convolved(size, layer.kernel, layer.stride, layer.padding, layer.ceil)


def _pool_size(size: int, arch: Architecture) -> int:
    if size < arch.pool.window:
        raise ConfigError(
            f"model.pool.window={arch.pool.window} does not fit in the {size} pixels that are left "
            f"of image_size={arch.image_size}: take larger images, or a smaller window or stride"
        )
    return ops.pooled(size, arch.pool.window, arch.pool.stride, arch.pool.ceil)
