"""The released program's nets of 2012 in PyTorch: an interpreter of its layer files.

The rules are the program's: layer.py:1004 and 1164 (sizes), 1183 (norms), layer.cu:1126 (dropout).
"""

import math
import re

import torch
from torch import Tensor
from torch.nn import functional as F

from experiments.parity.program_layers import Section

_OURS = {  # the program's name of a layer, without its GPU -> our name
    "fc2048": "fc6",
    "fc4096": "fc6",
    "fc2048b": "fc7",
    "fc4096b": "fc7",
    "fc1": "bottleneck",
    "fc1000": "fc8",
}


class Program:
    """One forward pass. sections: as program_layers.sections gives; params: our layout, torch."""

    def __init__(self, sections: dict[str, Section], params: dict[str, dict[str, Tensor]]):
        self.sections, self.params = sections, params
        self.done = 0  # outputs of fc8 that earlier sections made

    def logits(self, images: Tensor) -> Tensor:
        """Return what the softmax reads: (B, 3, H, W) -> (B, classes)."""
        values = {"data": images}
        for name, section in self.sections.items():
            read = section["inputs"].split(",")
            if name == "probs":
                return values[read[0]]
            x = [values[other] for other in read]
            kind = section["type"]
            if kind in ("conv", "fc"):
                y = getattr(self, kind)(name, section, dict(zip(read, x, strict=True)))
            elif kind == "concat":
                y = torch.cat(x, 1)
            else:
                y = getattr(self, kind)(section, *x)
            values[name] = F.relu(y) if section.get("neuron") == "relu" else y
        raise ValueError("the sections have no probs")

    def conv(self, name: str, section: Section, inputs: dict[str, Tensor]) -> Tensor:
        """Return the sum of a convolution of each input, and one bias."""
        # One number for each input; in these nets they are all the same.
        numbers = {key: value.split(",")[0] for key, value in section.items()}
        size, stride, padding = (int(numbers[key]) for key in ("filterSize", "stride", "padding"))
        gpu = _gpu(name)
        kernel = self.params[_ours(name)]["kernel"][gpu].permute(3, 2, 0, 1)
        total = self.params[_ours(name)]["bias"][gpu].reshape(1, -1, 1, 1)
        parts = kernel.chunk(len(inputs), 1)
        for read, x in inputs.items():
            weights = parts[_gpu(read) if len(inputs) > 1 else 0]
            assert weights.shape == (int(numbers["filters"]), x.shape[1], size, size), name
            modules = 1 + math.ceil((2 * padding + x.shape[2] - size) / stride)
            over = (modules - 1) * stride + size - x.shape[2] - padding  # zeros past the image
            x = F.pad(x, (padding, over, padding, over))
            total = total + F.conv2d(x, weights, stride=stride)
        return total

    def fc(self, name: str, section: Section, inputs: dict[str, Tensor]) -> Tensor:
        """Return the sum of a product of each input, and one bias."""
        outputs, ours = int(section["outputs"]), _ours(name)
        kernel, bias = self.params[ours]["kernel"], self.params[ours]["bias"]
        if ours == "fc8":  # (columns, in, all outputs)
            part = slice(self.done, self.done + outputs)
            self.done += outputs
            parts, total = list(kernel[..., part]), bias[part]
        else:
            parts, total = list(kernel[_gpu(name)].chunk(len(inputs))), bias[_gpu(name)]
        for read, x in inputs.items():
            weights = parts[_gpu(read) if len(inputs) > 1 else 0]
            assert weights.shape[1] == outputs, name
            x = x.permute(0, 2, 3, 1) if x.ndim == 4 else x  # we put pixels before channels
            total = total + x.flatten(1) @ weights
        return total

    def cmrnorm(self, section: Section, x: Tensor) -> Tensor:
        """Return x normalized over `size` neighbouring channels; scale is divided by size."""
        size = int(section["size"])
        padded = F.pad(x.square(), (0, 0, 0, 0, size // 2, size // 2))
        around = sum(padded[:, i : i + x.shape[1]] for i in range(size))
        return _normed(x, around, section, float(section["scale"]) / size)

    def rnorm(self, section: Section, x: Tensor) -> Tensor:
        """Return x normalized over size x size pixels; scale is divided by size ** 2."""
        size = int(section["size"])
        mean = F.avg_pool2d(x.square(), size, 1, size // 2, count_include_pad=True)
        return _normed(x, mean, section, float(section["scale"]))

    def pool(self, section: Section, x: Tensor) -> Tensor:
        """Return the maxima of windows; the last may overhang."""
        return F.max_pool2d(x, int(section["sizeX"]), int(section["stride"]), ceil_mode=True)

    def hs(self, section: Section, x: Tensor) -> Tensor:
        """Return x times the share that training keeps."""
        return x * float(section["keep"])


def _normed(x: Tensor, squares, section: Section, scale: float) -> Tensor:
    return x * (float(section.get("minDiv", 1)) + scale * squares) ** -float(section["pow"])


def _split(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+?)([ab]?)", name)
    assert match
    return match[1], match[2]


def _ours(name: str) -> str:
    base = _split(name)[0]
    return _OURS.get(base, base)


def _gpu(name: str) -> int:
    return "ab".index(_split(name)[1])
