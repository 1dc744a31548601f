"""Why a net does not start: where the difference between images dies on the way up.

A loss that sits at ln(classes) is that of a net which gives every image the same answer. The
first layer whose activations hardly differ from image to image is the one to look at.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from alexnet_jax.spec import Spec
from alexnet_jax.train_step import TrainState, graph_of

DEAD = 0.01  # spread between images over size, below which a layer says nothing


def spreads(spec: Spec, state: TrainState, images: jax.Array) -> dict[str, float]:
    """Return, for each product of the net, how far images differ in its output.

    The root mean square over units of the deviation between images, divided by the root mean
    square of the output itself: 0 where all images look alike.

    Args:
      spec: the net.
      state: its parameters.
      images: (B, image_size, image_size, 3) float, less the mean.
    """
    graph = graph_of(spec)
    names = tuple(layer.name for layer in spec.layers if not layer.identity)

    @jax.jit
    def measure(params, stats, images):
        _, kept = nnx.merge(graph, params, stats)(images, activations=names)
        sizes = {}
        for name, x in kept.items():
            x = x.astype(jnp.float32)
            spread = jnp.sqrt(jnp.mean(jnp.var(x, axis=1)))
            sizes[name] = spread / jnp.sqrt(jnp.mean(x * x) + 1e-30)
        return sizes

    found = jax.device_get(measure(state.params, state.batch_stats, images))
    return {name: float(found[name]) for name in names}


def first_dead_layer(sizes: dict[str, float]) -> str | None:
    """Return the first layer of `spreads` that says nothing, or None."""
    return next((name for name, size in sizes.items() if size < DEAD), None)
