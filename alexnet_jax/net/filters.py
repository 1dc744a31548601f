"""The first layer's filters: as a picture, laid out as figure 3 of the paper, and their colour."""

import numpy as np

PER_ROW = 16


def filter_grid(kernel: np.ndarray) -> np.ndarray:
    """Return the filters as one picture: column 1 above column 2, a black line between filters.

    All are scaled jointly, smallest weight black and largest white, as the released program's
    shownet.py does.

    Args:
      kernel: conv1's, (columns, kh, kw, 3, maps) float.

    Returns:
      (H, W, 3) uint8.
    """
    columns, kh, kw, channels, maps = kernel.shape
    low, high = float(kernel.min()), float(kernel.max())
    scaled = (kernel - low) * (255.0 / max(high - low, 1e-12))
    rows = -(-maps // PER_ROW)
    per_row = min(maps, PER_ROW)
    grid = np.zeros((columns * rows * (kh + 1) + 1, per_row * (kw + 1) + 1, channels), np.uint8)
    for column in range(columns):
        for index in range(maps):
            row, place = divmod(index, PER_ROW)
            top = (column * rows + row) * (kh + 1) + 1
            left = place * (kw + 1) + 1
            grid[top : top + kh, left : left + kw] = np.rint(scaled[column, :, :, :, index])
    return grid


def energies(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (energy, chromatic energy) of each filter, (columns, maps) float64.

    Energy is the sum of squared weights. At each place of a filter stands a vector (r, g, b); the
    part of it along the grey axis (1, 1, 1)/sqrt(3) answers to brightness, and the rest, at right
    angles to it, is its chromatic part.

    Args:
      kernel: conv1's, (columns, kh, kw, 3, maps).
    """
    kernel = kernel.astype(np.float64)
    grey = kernel.mean(axis=3, keepdims=True)  # the part along the axis, in each of r, g, b
    energy = np.square(kernel).sum(axis=(1, 2, 3))
    return energy, np.square(kernel - grey).sum(axis=(1, 2, 3))


def colour_shares(kernel: np.ndarray) -> list[float]:
    """Return the share of chromatic energy in each column: 0 no colour, 1 nothing else, noise 2/3.

    Args:
      kernel: conv1's, (columns, kh, kw, 3, maps), as it acts on RGB 0-255.
    """
    energy, chromatic = energies(kernel)
    return share(chromatic.sum(axis=1), energy.sum(axis=1)).tolist()


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
