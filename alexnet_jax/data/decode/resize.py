"""Resize a picture to a square: which part of it is taken, and by which filter it is resampled.

This choice changes the error by one to two points. To compare with a published figure, resize the
images as its authors did, which was to 256 pixels:

    aspect, area           the paper's section 2; filter of Krizhevsky's later data program, fast
    aspect, opencv_area    exactly that program: OpenCV resizes the whole picture, then crops
    aspect, bilinear       torchvision: Resize(256), CenterCrop
    warp, opencv_linear    Caffe's convert_imageset --resize_height=256 --resize_width=256
    warp, lanczos          Caffe's page: ImageMagick's convert -resize 256x256!
    warp, bilinear         theano_alexnet: scipy's imresize

All but opencv_linear are antialiased: a pixel of the small picture averages all pixels of the large
picture that it covers.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from alexnet_jax.config_fields import Data, choices
from alexnet_jax.errors import DataError

FORMS = choices(Data(), "resize")
FILTERS = choices(Data(), "resize_filter")
_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}


class Resize(NamedTuple):
    """How a picture becomes a square.

    Attributes:
      form: one of FORMS. aspect: the shorter side becomes `size`, then the central square is
        taken; bilinear and OpenCV cut it at whole pixels. warp: each side becomes `size`.
      filter: one of FILTERS. area and opencv_area: a side that shrinks is averaged (Pillow's BOX
        takes whole pixels, OpenCV's INTER_AREA also parts of them), a side that grows is bicubic.
        bilinear, lanczos: Pillow's filters. opencv_linear: INTER_LINEAR, which interpolates between
        the four nearest pixels.
      size: pixels a side of the square.
    """

    form: str = Data().resize
    filter: str = Data().resize_filter
    size: int = Data().size

    @classmethod
    def of(cls, data: ConfigDict) -> "Resize":
        """Return what config.data asks for."""
        return cls(data.resize, data.resize_filter, data.size)

    def is_the_papers(self) -> bool:
        """Whether form and filter are the paper's."""
        return self[:2] == PAPER[:2]

    def __str__(self) -> str:
        """Return form and filter as --resize takes them: aspect/area."""
        return f"{self.form}/{self.filter}"


PAPER = Resize()


def resized(image: Image.Image, resize: Resize) -> Image.Image:
    """Return the (size, size) picture of an RGB picture of any size.

    Raises:
      DataError: OpenCV is needed and not installed.
    """
    return _by_opencv(image, resize) if _is_opencv(resize) else _by_pillow(image, resize)


def check_installed(resize: Resize) -> None:
    """Check that the library for this filter is installed.

    Raises:
      DataError: OpenCV is needed and not installed; says how to install it.
    """
    if _is_opencv(resize):
        _opencv()


def _is_opencv(resize: Resize) -> bool:
    return resize.filter.startswith("opencv_")


def _by_pillow(image: Image.Image, resize: Resize) -> Image.Image:
    """Scale and crop in one step: only the part that is kept is resampled."""
    short = min(image.size)
    width, height = image.size if resize.form == "warp" else (short, short)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    size = resize.size
    if (resize.form, resize.filter) == ("aspect", "bilinear"):
        (left, right), (top, bottom) = (_whole_pixels(side, short, size) for side in image.size)
        box = (left, top, right, bottom)
    across, down = (_pillow_filter(resize, side) for side in (width, height))
    if across is not down:  # in a warp only: one side after the other
        image = image.resize((size, height), across)
        box = (0, 0, size, height)
    return image.resize((size, size), down, box=box)


def _whole_pixels(side: int, short: int, size: int) -> tuple[float, float]:
    """Return which part of a side torchvision keeps: it scales the whole picture, then crops.

    The crop is at whole pixels of the scaled picture, with torchvision's rounding. The scaled
    picture itself is not made: for one of 1x5000 pixels it would take 1 GB.
    """
    scaled = int(size * side / short)
    first = round((scaled - size) / 2)
    return first * side / scaled, (first + size) * side / scaled


def _pillow_filter(resize: Resize, side: int) -> Image.Resampling:
    if resize.filter == "area":
        return Image.Resampling.BOX if side >= resize.size else Image.Resampling.BICUBIC
    return _PILLOW[resize.filter]


def _by_opencv(image: Image.Image, resize: Resize) -> Image.Image:
    """Scale the whole picture, then crop at whole pixels, as the programs that used OpenCV did."""
    size = resize.size
    if resize.form == "warp":
        width = height = size
    else:
        short = min(image.size)
        # A picture of 1x5000 pixels would take 1 GB when scaled. What is cut off here is too far
        # from the crop to influence it through the filters.
        image = _centre(image, min(image.width, 16 * short), min(image.height, 16 * short))
        width, height = (int(side * size / short + 0.5) for side in image.size)
    across, down = (
        _opencv_filter(resize.filter, old, new)
        for old, new in zip(image.size, (width, height), strict=True)
    )
    pixels = np.asarray(image)
    if across != down:
        pixels = _opencv().resize(pixels, (width, image.height), interpolation=across)
    pixels = _opencv().resize(pixels, (width, height), interpolation=down)
    return _centre(Image.fromarray(pixels), size, size)


def _opencv_filter(name: str, old: int, new: int) -> int:
    if name == "opencv_linear":
        return int(_opencv().INTER_LINEAR)
    return int(_opencv().INTER_AREA if old >= new else _opencv().INTER_CUBIC)


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


@functools.cache
def _opencv() -> Any:
    try:
        import cv2  # imported here: OpenCV is not among the requirements
    except ImportError as error:
        raise DataError(
            "data.resize_filter=opencv_* needs OpenCV, which is not installed: "
            'pip install "opencv-python-headless<5", or choose another filter'
        ) from error
    cv2.setNumThreads(1)  # pictures are resized in several threads already
    return cv2
