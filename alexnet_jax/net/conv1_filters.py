"""The filters of conv1: a picture of them, laid out as figure 3 of the paper, and their colour.

A kernel is conv1's: (columns, kh, kw, 3, filters) float, as it acts on RGB 0-255.
"""

import numpy as np

PER_ROW = 16


def filter_grid(kernel: np.ndarray) -> np.ndarray:
    """Return the filters as one picture: column 1 above column 2, a black line between filters.

    One scale serves all filters: the smallest weight is black and the largest white, as in the
    released program's shownet.py.

    Returns:
      (H, W, 3) uint8.
    """
    columns, kh, kw, channels, filters = kernel.shape
    low, high = float(kernel.min()), float(kernel.max())
    scaled = (kernel - low) * (255.0 / max(high - low, 1e-12))
    rows = -(-filters // PER_ROW)
    per_row = min(filters, PER_ROW)
    grid = np.zeros((columns * rows * (kh + 1) + 1, per_row * (kw + 1) + 1, channels), np.uint8)
    for column in range(columns):
        for index in range(filters):
            row, position = divmod(index, PER_ROW)
            top = (column * rows + row) * (kh + 1) + 1
            left = position * (kw + 1) + 1
            grid[top : top + kh, left : left + kw] = np.rint(scaled[column, :, :, :, index])
    return grid


def energies(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (energy, chromatic energy) of each filter, (columns, filters) float64.

    Energy is the sum of squared weights. Each pixel of a filter is a vector (r, g, b). Its part
    along the grey axis (1, 1, 1)/sqrt(3) answers to brightness; the rest is its chromatic part.
    """
    kernel = kernel.astype(np.float64)
    grey = kernel.mean(axis=3, keepdims=True)  # the part along the axis, in each of r, g, b
    energy = np.square(kernel).sum(axis=(1, 2, 3))
    return energy, np.square(kernel - grey).sum(axis=(1, 2, 3))


def colour_shares(kernel: np.ndarray) -> list[float]:
    """Return the share of chromatic energy in each column: grey filters 0, noise 2/3, at most 1."""
    energy, chromatic = energies(kernel)
    return share(chromatic.sum(axis=1), energy.sum(axis=1)).tolist()


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, and 0 where `whole` is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
