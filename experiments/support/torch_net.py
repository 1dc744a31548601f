"""The nets of arch `paper` and `small` in PyTorch, for the benchmark of the step and for parity.

Channels first, the two columns as two groups of channels: convolutions 2, 4 and 5 are grouped.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F


class Shape(NamedTuple):
    """What differs between the two nets: conv1's window and its stride, and what follows from them.

    Attributes:
      padding: zeros at the right and the bottom, by which the program's sizes are rounded up.
      pooled: pixels a side after the last pooling.
    """

    kernel: int
    stride: int
    padding: int
    pooled: int
    image_size: int
    classes: int


PAPER = Shape(11, 4, 3, 6, 224, 1000)
SHAPES = {"paper": PAPER, "small": Shape(5, 2, 1, 3, 56, 200)}


def pool(x: torch.Tensor) -> torch.Tensor:
    """Return the paper's overlapping max pooling."""
    return F.max_pool2d(x, kernel_size=3, stride=2, ceil_mode=True)  # differs in `small` only


def dropout(x: torch.Tensor, training: bool) -> torch.Tensor:
    """Return the paper's dropout: a mask in training, half at test; PyTorch doubles the mask."""
    return F.dropout(x, 0.5, training) * 0.5


class ColumnLRN(nn.Module):
    """Local response normalization within each column; PyTorch divides alpha by size, we do not."""

    def __init__(self, columns: int):
        super().__init__()
        self.columns = columns
        self.lrn = nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize (B, C, H, W)."""
        if self.columns == 1:
            return self.lrn(x)
        return torch.cat([self.lrn(part) for part in x.chunk(self.columns, dim=1)], dim=1)


class TorchAlexNet(nn.Module):
    """AlexNet: (B, 3, image_size, image_size) float -> (B, classes)."""

    def __init__(self, shape: Shape = PAPER, columns: int = 2):
        super().__init__()
        self.padding = shape.padding
        c5, hidden = 256, 4096
        c1, c2, c3, c4 = (96, 256, 384, 384) if columns == 2 else (48, 128, 192, 192)
        self.conv1 = nn.Conv2d(3, c1, shape.kernel, stride=shape.stride)
        self.conv2 = nn.Conv2d(c1, c2, 5, padding=2, groups=columns)
        self.conv3 = nn.Conv2d(c2, c3, 3, padding=1)
        self.conv4 = nn.Conv2d(c3, c4, 3, padding=1, groups=columns)
        self.conv5 = nn.Conv2d(c4, c5, 3, padding=1, groups=columns)
        self.fc6 = nn.Linear(c5 * shape.pooled**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, shape.classes)
        self.lrn = ColumnLRN(columns)
        for name, layer in self.named_children():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                ones = name in ("conv2", "conv4", "conv5", "fc6", "fc7")
                assert layer.bias is not None
                nn.init.constant_(layer.bias, float(ones))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        x = F.pad(x, (0, self.padding, 0, self.padding))
        x = pool(self.lrn(F.relu(self.conv1(x))))
        x = pool(self.lrn(F.relu(self.conv2(x))))
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = pool(F.relu(self.conv5(x))).flatten(1)
        x = dropout(F.relu(self.fc6(x)), self.training)
        x = dropout(F.relu(self.fc7(x)), self.training)
        return self.fc8(x)
