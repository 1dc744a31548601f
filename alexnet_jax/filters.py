"""The first layer's filters as a picture, laid out as figure 3 of the paper."""

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
