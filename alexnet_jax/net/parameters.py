"""A net's parameters and statistics as trees: conv1 -> {kernel, bias}, norm1 -> {scale, bias}.

Checkpoints and the optimizer hold them in this form.
"""

import jax
from flax import nnx, traverse_util

from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.system.random_streams import root_key


def structure_of(arch: Architecture) -> AlexNet:
    """Return a net that has shapes instead of values; `merge` gives it values."""
    return jax.eval_shape(lambda: AlexNet(arch, key=root_key(0)))


def params_of(net: AlexNet) -> dict:
    """Return layer -> name -> array of the parameters."""
    return _values(net, nnx.Param)


def stats_of(net: AlexNet) -> dict:
    """Return norm -> name -> array of the running statistics; empty where no norm has any."""
    return _values(net, nnx.BatchStat)


def merge(net: AlexNet, params: dict, stats: dict | None = None) -> AlexNet:
    """Return a copy of `net` with these values, which may be those of one device's columns.

    Raises:
      ValueError: values are missing, or are of no layer of this net.
    """
    net, stats = nnx.clone(net), stats or {}
    for given, needed in ((params, params_of(net)), (stats, stats_of(net))):
        if wrong := _names(given) ^ _names(needed):
            raise ValueError(f"missing, or not of this net: {', '.join(sorted(wrong))}")
    for name, part in _parts(net).items():
        nnx.update(part, {**params.get(name, {}), **stats.get(name, {})})
    return net


def _names(tree: dict) -> set[str]:
    return set(traverse_util.flatten_dict(tree, sep="."))


def _values(net: AlexNet, kind: type[nnx.Variable]) -> dict:
    tree = {name: nnx.to_pure_dict(nnx.state(part, kind)) for name, part in _parts(net).items()}
    return {name: values for name, values in sorted(tree.items()) if values}


def _parts(net: AlexNet) -> dict:
    """Return the modules of a net by the names of their activations."""
    parts: dict = {"fc8": net.fc8}
    for block in net.blocks:
        parts |= {block.name: block.product} if block.product is not None else {}
        parts |= zip(block.names, block.operations, strict=True)
    return parts
