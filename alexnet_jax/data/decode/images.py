"""Convert the bytes of an image file to a square of RGB uint8; a square to JPEG and back.

The square follows the paper, section 2: "we first rescaled the image such that the shorter side
was of length 256, and then cropped out the central 256x256 patch". The side is data.size. Choices
of ours:

- Filter: pixel area average (Pillow BOX) to shrink, bicubic to enlarge, as in the data program
  that Krizhevsky released later (cuda-convnet2, make-data). Resizing and cropping are one step:
  the central square of the source is resampled straight to its size. Others: resize.py.
- A JPEG whose shorter side is at least four times the square's is decoded at 1/2, 1/4 or 1/8
  (libjpeg's scaled decoding), never below twice the square's, so that the area average still has
  two source pixels for each one.
  This holds for the area filter only: scaled decoding is an average itself, and would change what
  any other filter sees.
- EXIF orientation is applied. Transparency is composited on white.
- 16-bit grey is scaled by 255/65535 and rounded; Pillow itself cuts 16-bit colour to its high byte.
- Stored JPEG: quality 95, 4:2:0 (libjpeg's default, and a quarter smaller than 4:4:4).

Every image that is not plain 8-bit RGB of at least that size is reported: see image_issues.py.

A file that does not hold all of its pixels is refused (complete.py). So is a JPEG for which libjpeg
has a warning: its scan is corrupt, and the rest of the picture grey or shifted. Pillow hides the
warnings, so that simplejpeg decodes in its place where it can.
"""

import functools
import io
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageChops

from alexnet_jax.data.decode.complete import check_complete, check_scans
from alexnet_jax.data.decode.image_issues import (
    container_issues,
    pixel_issues,
    raw_mode,
    smaller_than,
)
from alexnet_jax.data.decode.resize import PAPER, Resize, resized
from alexnet_jax.errors import DataError

MAX_PIXELS = 89_478_485  # of one decoded image: the limit at which Pillow warns

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# What Pillow may open. For EPS, which it knows too, it would call Ghostscript.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
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
    """An image file cannot be read. `name` is the file, `reason` is what is wrong with it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Square(NamedTuple):
    """The square of an image file: (size, size, 3) uint8 RGB, and the file's IMAGE_ISSUES."""

    pixels: np.ndarray
    issues: tuple[str, ...] = ()


def to_square(data: bytes, name: str, resize: Resize = PAPER) -> np.ndarray:
    """Return the pixels of `read_square`: (size, size, 3) uint8, RGB."""
    return read_square(data, name, resize).pixels


def read_square(data: bytes, name: str, resize: Resize = PAPER) -> Square:
    """Decode an image file and make its square, upright.

    Args:
      data: the file's bytes, in one of _FORMATS and any mode that Pillow reads. Of several frames
        the first one is taken.
      name: the file's name, for errors; its ending is compared with the format.
      resize: which part of the picture is taken, the filter, and the size.

    Raises:
      BadImageError: the file is empty, not an image, truncated, damaged or too large, or the range
        of its pixel type is not known.
      DataError: OpenCV is needed and not installed.
    """
    if not data:
        raise BadImageError(name, "the file is empty")
    try:
        with _opened(data) as image:
            return _square(image, data, name, resize)
    except Image.UnidentifiedImageError:
        known = ", ".join(_formats())
        reason = f"not an image of {known} ({len(data)} bytes, first {data[:4]!r})"
    except Image.DecompressionBombError:
        reason = f"decompression bomb: more than {2 * MAX_PIXELS} pixels"
    except _UnfitImage as error:
        reason = str(error)
    except DataError:  # OpenCV is missing, which is no fault of the image
        raise
    # Pillow's decoders raise nearly any exception on damaged bytes (SyntaxError, struct.error).
    except Exception as error:
        text = str(error).lower()
        kind = "truncated" if "truncated" in text or "end of jpeg" in text else "damaged"
        reason = f"{kind} image ({type(error).__name__}: {error})"
    raise BadImageError(name, reason)


def from_pixels(pixels: np.ndarray, resize: Resize = PAPER) -> Square:
    """Make the square of a picture that is no file: (h, w, 3) uint8 RGB.

    A picture of that size stays as it is.

    Raises:
      DataError: OpenCV is needed and not installed.
    """
    issues = (smaller_than(resize.size),) if min(pixels.shape[:2]) < resize.size else ()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return Square(np.array(resized(image, resize)), issues)


def encode_jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    """Encode (h, w, 3) uint8 RGB as a 4:2:0 JPEG."""
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
    # The pixels are written into `out`; what the call returns is a view of it.
    simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=out)
    return out


class _UnfitImage(Exception):
    """A readable image is refused; the message says why."""


def _opened(data: bytes) -> Image.Image:
    """Open a picture. Pillow knows no HEIC: pillow-heif turns it upright, and is no requirement."""
    if data[4:8] != b"ftyp" or data[8:12] not in _HEIC_BRANDS:
        return Image.open(io.BytesIO(data), formats=_formats())
    try:
        import pillow_heif
    except ImportError:
        raise _UnfitImage("a HEIC picture: pip install pillow-heif to have it read") from None
    opened = pillow_heif.open_heif(io.BytesIO(data))
    if opened.size[0] * opened.size[1] > MAX_PIXELS:
        raise _UnfitImage(f"{opened.size[0]}x{opened.size[1]}: more than {MAX_PIXELS} pixels")
    picture: Image.Image = opened.to_pillow()
    return picture


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return those of _FORMATS that this Pillow has: older ones lack AVIF."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _square(image: Image.Image, data: bytes, name: str, resize: Resize) -> Square:
    """Return the square of an opened image, upright."""
    issues = [*container_issues(image, name), *pixel_issues(image, resize.size)]
    size = image.size
    if resize.filter == "area":
        image.draft(image.mode, (2 * resize.size, 2 * resize.size))  # only JPEG has this
    if image.width * image.height > MAX_PIXELS:
        raise _UnfitImage(f"{image.width}x{image.height}: more than {MAX_PIXELS} pixels")
    _scale_transparent_colour(image)
    loaded = _loaded(image, data, scaled=image.size != size)
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        issues.append("turned by EXIF")
    image = resized(_to_rgb(loaded), resize)
    # The square is turned last: that is cheap, and its content is the same either way.
    if turn is not None:
        image = image.transpose(turn)
    return Square(np.array(image), tuple(issues))


def _loaded(image: Image.Image, data: bytes, *, scaled: bool) -> Image.Image:
    """Return the image with its pixels; any exception means that the file is damaged."""
    if image.format in ("JPEG", "MPO"):
        check_scans(data)
    if image.format in ("JPEG", "MPO") and image.mode == "RGB" and not scaled:
        return Image.fromarray(decode_jpeg(data))  # the pixels that Pillow would give
    check_complete(image, data)
    image.load()
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image, 1 if it has none or is a TIFF."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the pixels are good, whatever the metadata are
        return 1


def _scale_transparent_colour(image: Image.Image) -> None:
    """Scale a PNG's transparent colour to 8 bits; Pillow scales only the pixels."""
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
    # Adobe stores CMYK inverted. Pillow undoes that for all files, also for those of others.
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey (modes I;16* and I) to 8 bits; its transparent level becomes white."""
    levels = np.asarray(image).astype(np.int64)
    if isinstance(clear := image.info.get("transparency"), int):
        levels[levels == clear] = 65535
    if levels.min() < 0 or levels.max() > 65535:
        raise _UnfitImage(
            f"integer pixels from {levels.min()} to {levels.max()}, expected 16-bit (0 to 65535)"
        )
    grey = ((levels * 255 + 32767) // 65535).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
