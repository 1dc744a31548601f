"""One image file's bytes to 256x256 RGB uint8, and that square to JPEG and back.

The square follows the paper, section 2: "we first rescaled the image such that the shorter side
was of length 256, and then cropped out the central 256x256 patch". Choices of ours:

- Filter: pixel area average (Pillow BOX) to shrink, bicubic to enlarge, as in the data program
  that Krizhevsky released later (cuda-convnet2, make-data). Resizing and cropping are one step:
  the central square of the source is resampled straight to 256x256. Others: resize.py.
- A JPEG whose shorter side is at least 1024 is decoded at 1/2, 1/4 or 1/8 (libjpeg's scaled
  decoding), never below 512, so that the area average still has two source pixels for each one.
  Only for that filter: scaled decoding averages too, and any other one would see what it left.
- EXIF orientation is applied. Transparency is composited on white.
- 16-bit grey is scaled by 255/65535 and rounded; Pillow itself cuts 16-bit colour to its high byte.
- Stored JPEG: quality 95, 4:2:0 (libjpeg's default, and a quarter smaller than 4:4:4).

What is not a plain 8-bit RGB picture of that size or more is named (odd.py), to be listed.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageChops

from alexnet_jax.data.decode.image_issues import odd_container, odd_pixels, raw_mode
from alexnet_jax.data.decode.resize import PAPER, SIZE, Resize, resized
from alexnet_jax.errors import DataError

MAX_PIXELS = 89_478_485  # what one image may have once decoded: Pillow's own first limit

_UPRIGHT = {  # EXIF orientation -> what turns the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(DataError):
    """An image file that cannot be read. `name` is the file, `reason` what is wrong with it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Square(NamedTuple):
    """The central square of a file: (256, 256, 3) uint8 RGB, and what of odd.ODD the file was."""

    pixels: np.ndarray
    odd: tuple[str, ...] = ()


def to_square(data: bytes, name: str, resize: Resize = PAPER) -> np.ndarray:
    """Return the pixels of `read_square`: (256, 256, 3) uint8, RGB."""
    return read_square(data, name, resize).pixels


def read_square(data: bytes, name: str, resize: Resize = PAPER) -> Square:
    """Decode an image file and make its 256x256 square: as `resize` has it, upright.

    Args:
      data: the file's bytes, in any format and mode that Pillow reads; of several frames the first.
      name: the file's name, for the error, and to tell whether its ending is right.
      resize: which part of the picture, and the filter.

    Raises:
      BadImageError: empty, not an image, truncated, damaged, too large, or of a pixel type without
        a known range.
      DataError: OpenCV is needed and not installed.
    """
    if not data:
        raise BadImageError(name, "the file is empty")
    try:
        with _pillow_warnings_ignored(), Image.open(io.BytesIO(data)) as image:
            return _square(image, name, resize)
    except Image.UnidentifiedImageError:
        reason = f"not an image that Pillow knows ({len(data)} bytes, first {data[:4]!r})"
    except Image.DecompressionBombError:
        reason = f"decompression bomb: more than {2 * MAX_PIXELS} pixels"
    except _UnfitImage as error:
        reason = str(error)
    except DataError:  # OpenCV is missing: no fault of the image
        raise
    # Pillow's decoders raise nearly any exception on damaged bytes (SyntaxError, struct.error).
    except Exception as error:
        kind = "truncated" if "truncated" in str(error).lower() else "damaged"
        reason = f"{kind} image ({type(error).__name__}: {error})"
    raise BadImageError(name, reason)


def encode_jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    """Encode (h, w, 3) uint8 RGB as JPEG, 4:2:0."""
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=quality, colorspace="RGB", colorsubsampling="420"
    )


def decode_jpeg(data: bytes, out: np.ndarray | None = None) -> np.ndarray:
    """Decode JPEG bytes to (h, w, 3) uint8 RGB, bit-equal to Pillow's default decoding.

    Args:
      data: the JPEG.
      out: a contiguous uint8 array of the same size to decode into, or None for a new one.

    Raises:
      ValueError: the bytes are no whole JPEG, or `out` is too small.
    """
    if out is None:
        return simplejpeg.decode_jpeg(data, colorspace="RGB")
    # Called for its effect: what it returns is a view of `out`.
    simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=out)
    return out


class _UnfitImage(Exception):
    """The reason why a readable image is refused."""


def _square(image: Image.Image, name: str, resize: Resize) -> Square:
    """Return the square of an opened image, upright."""
    odd = [*odd_container(image, name), *odd_pixels(image, SIZE)]
    if resize.filter == "area":
        image.draft(image.mode, (2 * SIZE, 2 * SIZE))  # acts on JPEG only; see the module's text
    if image.width * image.height > MAX_PIXELS:
        raise _UnfitImage(f"{image.width}x{image.height}: more than {MAX_PIXELS} pixels")
    _scale_transparent_colour(image)
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        odd.append("turned by EXIF")
    image = resized(_to_rgb(image), resize)
    # Turned last: that is cheap on a small square, and centre and whole are the same either way.
    if turn is not None:
        image = image.transpose(turn)
    return Square(np.array(image), tuple(odd))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image (TIFF is upright already), 1 without one."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata does not condemn good pixels
        return 1


def _scale_transparent_colour(image: Image.Image) -> None:
    """Bring a PNG's transparent colour to 8 bits, as Pillow does with the pixels only."""
    colour, raw = image.info.get("transparency"), raw_mode(image)
    if isinstance(colour, tuple) and "16" in raw:
        image.info["transparency"] = tuple(level >> 8 for level in colour)
    elif isinstance(colour, int) and raw in ("L;2", "L;4"):
        image.info["transparency"] = colour * (85 if raw == "L;2" else 17)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image of any mode to mode RGB."""
    if image.mode.startswith("I"):
        return _from_integers(image)
    if image.mode == "F":
        raise _UnfitImage("floating-point pixels, whose range the file does not tell")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    # Pillow undoes Adobe's inversion of CMYK while decoding, also where there was none to undo.
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey (modes I;16* and I) to 8 bits, its transparent level to white."""
    levels = np.asarray(image).astype(np.int64)
    if isinstance(clear := image.info.get("transparency"), int):
        levels[levels == clear] = 65535
    if levels.min() < 0 or levels.max() > 65535:
        raise _UnfitImage(
            f"integer pixels from {levels.min()} to {levels.max()}, expected 16-bit (0 to 65535)"
        )
    grey = ((levels * 255 + 32767) // 65535).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


_warnings_lock = threading.Lock()
_warnings_depth = 0
_warnings_context: warnings.catch_warnings | None = None


@contextlib.contextmanager
def _pillow_warnings_ignored() -> Iterator[None]:
    """Ignore what Pillow warns of (odd metadata, large images) while any thread is inside.

    The warning filters belong to the whole process, so threads that each saved and restored them
    would restore one another's: the first one in saves them, the last one out restores them.
    """
    global _warnings_depth, _warnings_context
    with _warnings_lock:
        if _warnings_depth == 0:
            _warnings_context = warnings.catch_warnings()
            _warnings_context.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _warnings_depth += 1
    try:
        yield
    finally:
        with _warnings_lock:
            _warnings_depth -= 1
            if _warnings_depth == 0 and _warnings_context is not None:
                _warnings_context.__exit__(None, None, None)
                _warnings_context = None
