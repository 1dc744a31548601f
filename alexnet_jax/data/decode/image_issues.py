"""What may be unusual about an image file, and what is done about it."""

import os
from collections.abc import Iterator

from PIL import Image

IMAGE_ISSUES = {  # what an image may be besides plain 8-bit RGB -> what is done with it
    "other format": "read as what it is, not as what its name says",
    "CMYK": "converted to RGB",
    "YCCK": "converted to RGB",
    "grey": "the one channel taken three times",
    "two-level": "the one channel taken three times",
    "palette": "its colours looked up",
    "16-bit": "scaled to 8 bits",
    "transparent": "laid on white",
    "turned by EXIF": "turned upright",
    "several frames": "the first frame taken",
    "ICC profile": "its numbers taken as sRGB",
    "smaller than": "enlarged",  # the name goes on with the pixels a side of the square
}
_SMALLER = "smaller than"
_MODE_ISSUES = {"CMYK": "CMYK", "L": "grey", "LA": "grey", "La": "grey", "1": "two-level"}
_MODE_ISSUES |= {"P": "palette", "PA": "palette"}


def container_issues(image: Image.Image, name: str) -> Iterator[str]:
    """Iterate over the issues of the file around an opened image."""
    expected = Image.registered_extensions().get(os.path.splitext(name)[1].lower())
    # An MPO file is a JPEG with a second picture behind it.
    actual = "JPEG" if image.format == "MPO" else image.format
    if expected is not None and expected != actual:
        yield "other format"
    if getattr(image, "is_animated", False):
        yield "several frames"
    profile = image.info.get("icc_profile") or b""
    if profile and b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile:
        yield "ICC profile"


def pixel_issues(image: Image.Image, size: int) -> Iterator[str]:
    """Iterate over the issues of the pixels of an image that is opened but not loaded yet.

    Args:
      size: pixels that its shorter side should have at least.
    """
    if image.mode == "CMYK" and image.info.get("adobe_transform") == 2:
        yield "YCCK"
    elif image.mode in _MODE_ISSUES:
        yield _MODE_ISSUES[image.mode]
    if image.mode.startswith("I") or "16" in raw_mode(image):
        yield "16-bit"
    if image.has_transparency_data:
        yield "transparent"
    if min(image.size) < size:
        yield smaller_than(size)


def smaller_than(size: int) -> str:
    """Return the issue of a picture whose shorter side has fewer pixels than the square."""
    return f"{_SMALLER} {size}"


def done_about(issue: str) -> str:
    """Return what is done about an issue that an image had."""
    return IMAGE_ISSUES.get(_SMALLER if issue.startswith(_SMALLER) else issue, "not known")


def raw_mode(image: Image.Image) -> str:
    """Return the pixel type that Pillow's decoder will read, such as RGB;16B.

    The image is opened but not loaded yet. This is the only place where Pillow tells the depth of
    16-bit colour, and of grey of 2 and 4 bits.
    """
    tiles: list[tuple] = getattr(image, "tile", [])
    raw_modes = [t[3][0] if isinstance(t[3], tuple) else t[3] for t in tiles]
    return " ".join(map(str, raw_modes))
