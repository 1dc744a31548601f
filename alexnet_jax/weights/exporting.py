"""Write weights into a .safetensors file, with the names and shapes of a grouped PyTorch module.

conv1.weight (96, 3, 11, 11), conv1.bias, ..., fc8.weight (1000, 4096), fc8.bias. The net `owt` has
the names of torchvision.models.alexnet: features.0.weight, .... If the mean has a value for each
pixel, there is a tensor mean_image (3, size, size). The header says how to use the tensors:

input         the net's input: RGB 0-255, less the mean, divided by divide_by
size          pixels a side of the square that a picture is scaled to before it is cropped
resize, resize_filter, storage
              how those squares were made and stored in training (the fields of config.data)
mean          [R, G, B]; the channels' means of mean_image, if it is there
mean_of       "centre": subtract the central window of mean_image from every crop. Without this
              field, subtract the part of mean_image at the crop's own position
divide_by     [R, G, B]
keep          at test, multiply activations that had dropout in training by it (paper 4.2); it is 1
              if dropout is inverted, as in PyTorch
arch, classes, image_size, model (all fields of config.model that are set), step, class_names
"""

import json
import pathlib

import numpy as np
from safetensors.numpy import save

from alexnet_jax.errors import WeightsError
from alexnet_jax.net import resolving
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.system.atomic_file import atomic_file
from alexnet_jax.weights.container import Weights, mean_rgb
from alexnet_jax.weights.files import MEAN_IMAGE
from alexnet_jax.weights.naming import torchvisions


def export_weights(weights: Weights, out: pathlib.Path) -> dict[str, str]:
    """Write a .safetensors file.

    Args:
      weights: what `read_run` gave, with its mean.
      out: the file; it appears only when it is complete.

    Returns:
      The header.

    Raises:
      WeightsError: the file could not be written.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"--out ends in .safetensors; got {out}")
    arch, tensors = _net_of(weights), dict(weights.tensors)
    if arch.name == "owt":
        tensors = {torchvisions(name): value for name, value in tensors.items()}
    assert weights.mean is not None
    if weights.mean.ndim == 3:
        tensors[MEAN_IMAGE] = weights.mean.transpose(2, 0, 1)
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    metadata = header(weights, arch)
    with atomic_file(out, WeightsError) as half:
        half.write_bytes(save(tensors, metadata))  # save_file would make it private
    return metadata


def header(weights: Weights, arch: Architecture) -> dict[str, str]:
    """Return the file's metadata."""
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
        "size": str(weights.size),
        "mean": json.dumps(mean_rgb(weights.mean)),
        "divide_by": json.dumps(list(weights.divide_by)),
        "keep": json.dumps(keep),
        "model": json.dumps(dict(weights.model)),
        **weights.extra,
    }


def _net_of(weights: Weights) -> Architecture:
    model = resolving.overrides(weights.archs[0])
    model.update(weights.model)
    return resolving.resolve(model)
