"""Check that a file holds all the pixels that its header claims.

Pillow fills what is missing in silence: in a JPEG whose scan is corrupt or too short, a PNG whose
data end early, and a TIFF with too few strips. It checks the other formats itself.
"""

import re
import struct
import zlib

import simplejpeg
from PIL import Image, TiffImagePlugin

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type of a PNG -> numbers of a pixel
# Adam7: first column, first row, columns and rows between two pixels of each pass.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # of a JPEG, but for those within a scan
_MOST_SCANS = 100  # a progressive JPEG has some 10
_PIECE = 1 << 20  # bytes of a PNG that are unpacked at once


def check_complete(image: Image.Image, data: bytes) -> None:
    """Refuse a file that does not hold the pixels of its header.

    Args:
      image: opened but not loaded yet.
      data: the file's bytes.

    Raises:
      ValueError, zlib.error, struct.error: what is missing, or libjpeg's first warning.
    """
    if image.format in ("JPEG", "MPO"):
        # At an eighth of the size, this costs little more than to read the scan.
        colours = "CMYK" if image.mode == "CMYK" else "GRAY"
        simplejpeg.decode_jpeg(data, colours, min_height=1, min_width=1, min_factor=8)
    elif image.format == "PNG":
        _check_png(data)
    elif image.format == "TIFF":
        rows = max((tile[1][3] for tile in image.tile if tile[1]), default=0)  # type: ignore[attr-defined]
        height = image.tag_v2[TiffImagePlugin.IMAGELENGTH]  # type: ignore[attr-defined]
        if rows < height:  # image.height may be that of the picture turned by EXIF
            raise ValueError(f"truncated: {rows} of its {height} rows are there")


def check_scans(data: bytes) -> None:
    """Refuse a JPEG of so many scans that a small file takes minutes; each is of all its pixels.

    Raises:
      ValueError: how many there are.
    """
    if data.count(b"\xff\xda") <= _MOST_SCANS:
        return
    at, scans = 2, 0  # a thumbnail, and a film behind the picture, have scans of their own
    while (marker := _MARKER.search(data, at)) and marker[0] != b"\xff\xd9":
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        scans += marker[0] == b"\xff\xda"
    if scans > _MOST_SCANS:
        raise ValueError(f"{scans} scans, expected {_MOST_SCANS} at most")


def _check_png(data: bytes) -> None:
    """Unpack a PNG's data, a piece at a time: count the bytes, and compare zlib's checksum."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits, expected = depth * _CHANNELS[colour], 0  # a row has one byte for its filter
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0:
            expected += max(0, rows) * (1 + (columns * bits + 7) // 8)
    stream, unpacked, at = zlib.decompressobj(), 0, 8
    while at + 8 <= len(data) and not stream.eof and unpacked <= expected:
        length, kind = struct.unpack_from(">I4s", data, at)
        rest = data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        while rest and unpacked <= expected:
            unpacked += len(stream.decompress(rest, _PIECE))
            rest = stream.unconsumed_tail
        at += 12 + length
    if unpacked < expected:
        raise ValueError(f"truncated: {unpacked} of its {expected} bytes of pixels are there")
