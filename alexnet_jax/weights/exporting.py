"""Weights into a .safetensors file, named and laid out as a plain grouped PyTorch module's are.

conv1.weight (96, 3, 11, 11), conv1.bias, ..., fc8.weight (1000, 4096), fc8.bias; of the net `owt`
as torchvision.models.alexnet has them: features.0.weight, .... mean_image (3, 256, 256) is there
where the mean is one for each pixel. The header says how to use them:

input         what the net reads: RGB 0-255, less the mean, divided by divide_by
mean          [R, G, B]; where mean_image is there, its means
mean_of       centre: any crop loses mean_image's centre; not there: the place that it was cut from
divide_by     [R, G, B]
keep          times this, at test, go the activations that had dropout in training (paper 4.2); 1
              where dropout is inverted, as PyTorch's is
arch, classes, image_size, model (all fields of config.model that are set), step, class_names
"""

import json
import pathlib

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from alexnet_jax.errors import WeightsError
from alexnet_jax.net import resolving
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.system.atomic_file import atomic_file
from alexnet_jax.weights.files import MEAN_IMAGE, TORCHVISION
from alexnet_jax.weights.weights import Weights, mean_rgb


def export_weights(weights: Weights, out: pathlib.Path) -> dict[str, str]:
    """Write a .safetensors file.

    Args:
      weights: of a run.
      out: the file; it appears when it is whole.

    Returns:
      Its header.

    Raises:
      WeightsError: it could not be written.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"--out ends in .safetensors; got {out}")
    arch, tensors = _net_of(weights), dict(weights.tensors)
    if arch.name == "owt":
        tensors = {_torchvision(name): value for name, value in tensors.items()}
    assert weights.mean is not None
    if weights.mean.ndim == 3:
        tensors[MEAN_IMAGE] = weights.mean.transpose(2, 0, 1)
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    said = header(weights, arch)
    with atomic_file(out, WeightsError) as half:
        try:
            save_file(tensors, half, said)
        except SafetensorError as error:  # which is no OSError, also where the system refuses
            raise OSError(str(error)) from error
    return said


def header(weights: Weights, arch: Architecture) -> dict[str, str]:
    """Return what the file says of itself."""
    assert weights.mean is not None
    dropped = any("dropout" in layer.then for layer in arch.layers)
    keep = 1.0 if arch.dropout.inverted or not dropped else 1 - arch.dropout.rate
    return {
        "format": "pt",
        "program": "alexnet_jax",
        "input": "RGB 0-255, less the mean, divided by divide_by",
        "arch": arch.name,
        "classes": str(arch.classes),
        "image_size": str(arch.image_size),
        "mean": json.dumps(mean_rgb(weights.mean)),
        "divide_by": json.dumps(list(weights.divide_by)),
        "keep": json.dumps(keep),
        "model": json.dumps(dict(weights.model)),
        **weights.extra,
    }


def _net_of(weights: Weights) -> Architecture:
    model = resolving.overrides(weights.specs[0])
    model.update(weights.model)
    return resolving.resolve(model)


def _torchvision(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    return f"{TORCHVISION.get(layer, layer)}.{kind}"
