"""Small nets with weights of our choosing, for the tests of the model."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.net import architecture, resolving
from alexnet_jax.net.parameters import merge, params_of, stats_of, structure_of

# Compiles in half the time; these nets are small, so what it makes may be slow.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
fast_jit = functools.partial(jax.jit, compiler_options=QUICK)

SIZE = 99  # pixels: 23 -> 11 -> 5 -> 2, so that fc6 has pixels to mix up


def make_arch(**fields) -> architecture.Architecture:
    """A net of 3-8-12-12-8-128-128 per column; lrn__n stands for lrn.n."""
    model = resolving.overrides("paper")
    for name, value in {"width": 0.0625, "classes": 10, "image_size": SIZE, **fields}.items():
        *sections, last = name.split("__")
        section = model
        for part in sections:
            section = section[part]
        section[last] = value
    return resolving.resolve(model)


def shapes(net: architecture.Architecture) -> dict:
    """layer -> {kernel, bias} -> shape."""
    params = params_of(structure_of(net))
    return {k: {name: v.shape for name, v in layer.items()} for k, layer in params.items()}


def draw_params(net: architecture.Architecture) -> dict:
    """Values that keep the signal's size, so that no activation is trivial."""
    rng, params = np.random.default_rng(4), {}
    for layer, values in shapes(net).items():
        params[layer] = {}
        for name, shape in values.items():
            std = np.sqrt(2 / np.prod(shape[1:-1])) if name == "kernel" else 0.5
            value = std * rng.standard_normal(shape) + (name == "scale")
            params[layer][name] = value.astype(np.float32)
    return params


def draw_images(batch: int = 3, size: int = SIZE) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.integers(0, 256, (batch, size, size, 3)) - 118).astype(np.float32)


def names(net: architecture.Architecture) -> tuple[str, ...]:
    """Every activation of a net, in order."""
    found = []
    for layer in net.layers:
        found += [] if layer.identity else [layer.name]
        for op in layer.then:
            found.append(net.activation_name(layer, op))
    return tuple(found)


COMPILED: dict[str, Callable] = {}


def run(net: architecture.Architecture, params, images, *, train=False, **arrays):
    """Compile and call the net on these parameters: (logits, every activation)."""
    call = COMPILED.setdefault(f"{net} {train}", caller(net, train))
    logits, kept = call(params, images, arrays)
    return np.asarray(logits), {name: np.asarray(kept[name]) for name in names(net)}


def caller(net: architecture.Architecture, train: bool) -> Callable:
    structure = structure_of(net)
    stats = stats_of(structure)
    stats = {  # as a new net has them
        layer: {name: jnp.full(v.shape, name == "var", v.dtype) for name, v in values.items()}
        for layer, values in stats.items()
    }

    @fast_jit
    def call(params, images, arrays):
        model = merge(structure, params, stats)
        return model(images, train=train, activations=names(net), **arrays)

    return call


def pull_back(f, x, g):
    """f(x) and the gradient of sum(g f(x)), compiled."""

    @fast_jit
    def run(x, g):
        y, backward = jax.vjp(f, x)
        return y, backward(g)

    return run(x, g)


def draw_activations(shape, scale=100.0, seed=0):
    """Values of the size that conv1 gives, so that alpha times the sum matters beside k."""
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)
