"""What may be odd about an image file, to be listed with what was done about it."""

import os
from collections.abc import Iterator

from PIL import Image

ODD = {  # what an image may be besides plain RGB -> what is done with it
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
    "smaller than 256": "enlarged",
}
_ODD_MODES = {"CMYK": "CMYK", "L": "grey", "LA": "grey", "La": "grey", "1": "two-level"}
_ODD_MODES |= {"P": "palette", "PA": "palette"}


def odd_container(image: Image.Image, name: str) -> Iterator[str]:
    """Iterate over what is odd about the file around an opened image."""
    known = Image.registered_extensions().get(os.path.splitext(name)[1].lower())
    actual = "JPEG" if image.format == "MPO" else image.format  # MPO: a second picture behind it
    if known is not None and known != actual:
        yield "other format"
    if getattr(image, "is_animated", False):
        yield "several frames"
    profile = image.info.get("icc_profile") or b""
    if profile and b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile:
        yield "ICC profile"


def odd_pixels(image: Image.Image, size: int) -> Iterator[str]:
    """Iterate over what is odd about the pixels of an opened image that is not loaded yet.

    Args:
      image: it.
      size: the least that its shorter side should have.
    """
    if image.mode == "CMYK" and image.info.get("adobe_transform") == 2:
        yield "YCCK"
    elif image.mode in _ODD_MODES:
        yield _ODD_MODES[image.mode]
    if image.mode.startswith("I") or "16" in raw_mode(image):
        yield "16-bit"
    if image.has_transparency_data:
        yield "transparent"
    if min(image.size) < size:
        yield "smaller than 256"


def raw_mode(image: Image.Image) -> str:
    """Return what an opened image that is not loaded yet hands to its decoder, such as RGB;16B.

    Only there Pillow tells the depth of 16-bit colour, and of grey of 2 and 4 bits.
    """
    tiles: list[tuple] = getattr(image, "tile", [])
    raw_modes = [t[3][0] if isinstance(t[3], tuple) else t[3] for t in tiles]
    return " ".join(map(str, raw_modes))
