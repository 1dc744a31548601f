"""Why a net does not start: where the difference between images dies on the way up.

A loss that sits at ln(classes) is that of a net which gives every image the same answer. The
first layer whose activations hardly differ from image to image is the one to look at.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from alexnet_jax.spec import Layer, Spec
from alexnet_jax.train_step import TrainState, graph_of

# Measured before training on the net of the text: with its own initial values 0.03 at conv5 and
# 0.005 at fc7, and it starts late; with twice those 0.18 at fc7; with a tenth 0.009 at conv2.
DEAD = 0.01


def spreads(spec: Spec, state: TrainState, images: jax.Array) -> dict[str, float]:
    """Return, for each layer of the net, how far images differ in what it passes on.

    The root mean square over units of the deviation between images, over that of the output
    itself, or over 1 where that is smaller: 0 where all images look alike, or where nothing
    comes through.

    Args:
      spec: the net.
      state: its parameters.
      images: (B, image_size, image_size, 3) float, less the mean.
    """
    graph = graph_of(spec)
    outputs = {layer.name: _output(spec, layer) for layer in spec.layers if not layer.identity}

    @jax.jit
    def measure(params, stats, images):
        _, kept = nnx.merge(graph, params, stats)(images, activations=tuple(outputs.values()))
        sizes = {}
        for name, output in outputs.items():
            x = kept[output].astype(jnp.float32)
            spread = jnp.sqrt(jnp.mean(jnp.var(x, axis=1)))
            sizes[name] = spread / jnp.maximum(jnp.sqrt(jnp.mean(x * x)), jnp.ones(()))
        return sizes

    found = jax.device_get(measure(state.params, state.batch_stats, images))
    return {name: float(found[name]) for name in outputs}


def _output(spec: Spec, layer: Layer) -> str:
    """Return the name of the last activation of a layer."""
    last = layer.then[-1] if layer.then else ""
    kind = spec.activation if last == "activation" else last
    return f"{kind}{layer.name[-1]}" if kind else layer.name


def first_dead_layer(sizes: dict[str, float]) -> str | None:
    """Return the first layer of `spreads` that says nothing, or None."""
    return next((name for name, size in sizes.items() if size < DEAD), None)
