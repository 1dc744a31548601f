"""pixel_stats: the arrays by which the device changes images (mean, PCA colour, scale)."""

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.config_fields import Data, check_section
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.system.paths import user_path

OF_THE_DATA = ("image", "centre", "channel")  # means of the training set
OF_A_FILE = ("file", "centre_file")


def make_pixel_stats(statistics, data: ConfigDict) -> dict[str, np.ndarray]:
    """Return the arrays that the compiled programs take besides the images.

    The last two have no entry, and cost nothing in the program, where they change nothing.

    Args:
      statistics: mean_image (size, size, 3), eigenvalues (3,) and eigenvectors (3, 3; a column
        each) of the RGB covariance, on the 0-255 scale. None: there are no training images, which
        is possible in evaluation only.
      data: config.data; its size is that of the images.

    Returns:
      All float32, on the 0-255 scale:
      mean (size, size, 3): subtracted from the image, pixel by pixel; or
      centre_mean (size, size, 3): its central window is subtracted from every view
        (convdata_jpeg.py:95).
      colour (3, 3): column i is p_i times the standard deviation of its coefficient (paper 4.1).
      colour_divisor (), with colour_rescale: divides the view after the colour noise
        (convdata_jpeg.py:179).
      divide_by (3,), unless it is all ones: divides the channels, as the last step.

    Raises:
      ConfigError: a value that data cannot have, or a mean_file that is not a mean image.
      DataError: the mean is that of the training images, and there are none.
    """
    check_section(Data(), data, "data")
    if statistics is None and data.mean in OF_THE_DATA:
        raise DataError(f"data.mean={data.mean} is that of the training images: prepare them too")
    pixel_stats = {
        "centre_mean" if data.mean.startswith("centre") else "mean": _mean(statistics, data)
    }
    if statistics is not None:
        if data.colour_unit == "eigenvalue":  # of pixels in [0, 1]; the shift is multiplied by 255
            spread = statistics.eigenvalues / 255.0
        else:
            spread = np.sqrt(statistics.eigenvalues)
        pixel_stats["colour"] = statistics.eigenvectors * (data.colour_std * spread)
    if data.colour and data.colour_rescale:
        pixel_stats["colour_divisor"] = np.asarray(1.0 + data.colour_std)
    if any(number != 1.0 for number in data.divide_by):
        pixel_stats["divide_by"] = np.asarray(data.divide_by)
    return {name: value.astype(np.float32) for name, value in pixel_stats.items()}


def at_epoch(
    pixel_stats: dict[str, np.ndarray], data: ConfigDict, epoch: int
) -> dict[str, np.ndarray]:
    """Return the pixel_stats of an update after `epoch` whole epochs, with the same shapes.

    From epoch data.colour_until on they have no colour noise.
    """
    if not data.colour_until or epoch < data.colour_until:
        return pixel_stats
    off = {"colour": np.zeros_like(pixel_stats["colour"])}
    if "colour_divisor" in pixel_stats:
        off["colour_divisor"] = np.ones_like(pixel_stats["colour_divisor"])
    return {**pixel_stats, **off}


def _mean(statistics, data: ConfigDict) -> np.ndarray:
    shape = (data.size, data.size, 3)
    if data.mean == "values":
        return np.broadcast_to(np.asarray(data.mean_values, np.float64), shape)
    if data.mean in OF_A_FILE:
        return read_mean(data.mean_file, data.size)
    if data.mean == "none":
        return np.zeros(shape, np.float32)
    mean = np.asarray(statistics.mean_image, np.float32)
    if data.mean == "channel":
        return np.broadcast_to(mean.mean((0, 1), dtype=np.float64), shape)
    return mean


def read_mean(path: str, size: int) -> np.ndarray:
    """Return the mean image in a file, (size, size, 3) floats.

    Raises:
      ConfigError: the file holds no mean image.
    """
    shape = (size, size, 3)
    expected = f"data.mean_file is an .npy of {shape} floats, RGB 0-255"
    try:  # its header may claim any size: nothing is read before it is known to fit
        mean = np.lib.format.open_memmap(user_path(path), mode="r")
    except Exception as error:  # a damaged header makes NumPy raise many kinds
        raise ConfigError(f"{expected}; {path!r} cannot be read: {error}") from error
    if mean.shape != shape or not np.issubdtype(mean.dtype, np.floating):
        raise ConfigError(f"{expected}; {path!r} has {mean.shape} {mean.dtype}")
    if not np.isfinite(mean).all():
        raise ConfigError(f"{expected}; {path!r} holds numbers that are not finite")
    return np.array(mean)
