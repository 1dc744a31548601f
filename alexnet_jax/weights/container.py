"""The weights of a net and the preprocessing of its images, whatever file they come from."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from alexnet_jax.errors import WeightsError
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.weights import layout

RGB = tuple[float, float, float]
MEAN_OF, CENTRE = "mean_of", "centre"  # in `extra`: data.mean is centre (config_fields.py)
SQUARES = ("resize", "resize_filter", "storage")  # in `extra`: fields of config.data
_LISTED = 3  # differing tensors that a message names


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of a net, in PyTorch's layout (layout.py), float32, for RGB images.

    Attributes:
      source: the file or folder, for messages.
      tensors: "conv1.weight" (out, in, kh, kw), "conv1.bias" (out,), ...
      archs: the rows of net/variants.py that it can be; (): the source does not say.
      model: the fields of config.model that the source sets.
      names: our name of a tensor -> the source's name, where they differ.
      bgr: whether the source's channels, and so its mean files, are blue, green, red.
      size: pixels a side of the squares that the net's views were cut from (data.size). None: the
        source does not say.
      mean: to be subtracted from an image, (size, size, 3), or (3,) for all pixels; RGB 0-255.
        None: the source does not say.
      divide_by: each channel is divided by it, after the mean.
      extra: the other metadata of a file that this program exported.
      left_out: what else the file holds, which is not of the net.
    """

    source: str
    tensors: layout.Tensors
    archs: tuple[str, ...] = ()
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    bgr: bool = False
    size: int | None = None
    mean: np.ndarray | None = None
    divide_by: RGB = (1.0, 1.0, 1.0)
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def checked(weights: Weights) -> Weights:
    """Return the weights unchanged.

    Raises:
      WeightsError: a tensor has numbers that are not finite, no floats, or nothing.
    """
    everything = {**weights.tensors, "mean": np.zeros(3) if weights.mean is None else weights.mean}
    for name, tensor in everything.items():
        wrong = ""
        if not np.issubdtype(tensor.dtype, np.floating):
            wrong = f"is {tensor.dtype}, not float"
        elif not tensor.size:
            wrong = f"of shape {tensor.shape} holds nothing"
        elif bad := int(tensor.size - np.isfinite(tensor).sum()):
            wrong = f"has {bad} numbers that are not finite"
        if wrong:
            raise WeightsError(f"{weights.source}: {_named(weights, name)} {wrong}")
    return weights


def misfits(
    weights: Weights, arch: Architecture, layers: Collection[str] | None = None
) -> dict[str, str]:
    """Return a phrase for each tensor, by our name, that does not fit the net.

    Args:
      layers: the layers to compare; None: all, and then no tensor may be left over.
    """
    phrases = {}
    expected = layout.shapes(arch)
    if layers is not None:
        expected = {k: v for k, v in expected.items() if k.partition(".")[0] in layers}
    for name, shape in expected.items():
        label = _named(weights, name)
        if name not in weights.tensors:
            phrases[name] = f"{label} expected {shape}, found none"
        elif weights.tensors[name].shape != shape:
            phrases[name] = f"{label} expected {shape}, found {weights.tensors[name].shape}"
    if layers is None:
        for name in sorted(weights.tensors.keys() - expected.keys()):
            phrases[name] = f"{_named(weights, name)} {weights.tensors[name].shape} not expected"
    return phrases


def listed(phrases: Mapping[str, str]) -> str:
    """Return the first few phrases of `misfits`, and how many more there are."""
    more = len(phrases) - _LISTED
    return "; ".join(list(phrases.values())[:_LISTED]) + (f"; and {more} more" if more > 0 else "")


def mean_rgb(mean: np.ndarray) -> list[float]:
    """Return the mean of each channel, R, G, B, of a mean image or of three values."""
    return [float(v) for v in mean.reshape(-1, 3).mean(0, dtype=np.float64)]


def describe(weights: Weights) -> str:
    """Return in words which images the net was trained on."""
    if weights.mean is None:
        return "does not say what images it was given"
    mean = ", ".join(f"{value:.2f}" for value in mean_rgb(weights.mean))
    by = ", ".join(f"{value:g}" for value in weights.divide_by)
    return f"was given RGB 0-255 less [{mean}], divided by [{by}]"


def _named(weights: Weights, name: str) -> str:
    return weights.names.get(name, name)
