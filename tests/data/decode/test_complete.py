"""A file that does not hold the pixels of its header, or libjpeg warns of, is refused and named."""

import io
import struct
import tarfile
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFilter

from alexnet_jax.data.decode.images import BadImageError, read_square, to_square
from alexnet_jax.data.decode.resize import PAPER
from alexnet_jax.data.sources.tar_images import TarImages, images_of
from tests.support.zoo import encoded

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
PICTURE = NOISE.filter(ImageFilter.GaussianBlur(2))
LARGE = PICTURE.resize((1200, 1200))  # is decoded at half of its size

JPEGS = {
    "baseline": encoded(PICTURE, "JPEG"),
    "progressive": encoded(PICTURE, "JPEG", progressive=True),
    "grey": encoded(PICTURE.convert("L"), "JPEG"),
    "CMYK": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "restart markers": encoded(PICTURE, "JPEG", restart_marker_blocks=4),
    "scaled": encoded(LARGE, "JPEG"),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_corrupt_scan_is_refused(kind):
    data = JPEGS[kind]
    assert to_square(data, "x.jpg").shape == (256, 256, 3)
    scan = data.index(b"\xff\xda")
    middle = (scan + len(data)) // 2
    for damaged in (
        data[:middle] + data[middle + 400 :],  # a part is lost
        data[:middle] + bytes(400) + data[middle + 400 :],  # a block of a disk is lost
        data[:middle] + b"\xff\xd9" + data[middle + 2 :],  # it ends there
    ):
        with pytest.raises(BadImageError, match=r"^some/x\.jpg: (damaged|truncated) image"):
            to_square(damaged, "some/x.jpg")


@pytest.mark.parametrize("size", [(300, 300), (9400, 9400)])
def test_scans_without_end_are_refused_at_once(size):
    data = bytearray(JPEGS["progressive"])
    at = data.index(b"\xff\xc2") + 5
    data[at : at + 4] = struct.pack(">HH", *size)
    scan, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    data[end:end] = (data[scan : scan + 2 + data[scan + 3]] + b"\0") * 20_000
    begin = time.process_time()
    with pytest.raises(BadImageError, match=r"\(ValueError: 200\d\d scans, expected 100 at most\)"):
        to_square(bytes(data), "x.jpg")
    assert time.process_time() - begin < 3


def test_scans_of_other_pictures_in_the_file_do_not_count():
    film = b"\xff\xda\0\x08" * 1000
    for kind in ("baseline", "progressive"):
        whole = JPEGS[kind]
        thumbnail = whole[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(film)) + film + whole[2:]
        for data in (whole + film, thumbnail):
            np.testing.assert_array_equal(to_square(data, "x.jpg"), to_square(whole, "x.jpg"))


def of_twice_the_height(kind: str) -> bytes:
    """A file whose header says 600 rows, with the data of 300."""
    twice, options = struct.pack(">H", 600), {}
    if kind in ("JPEG", "progressive JPEG"):
        data = bytearray(encoded(PICTURE, "JPEG", progressive=kind != "JPEG"))
        at = data.index(b"\xff\xc0" if kind == "JPEG" else b"\xff\xc2") + 5
        data[at : at + 2] = twice
    elif kind == "PNG":
        data = bytearray(encoded(PICTURE, "PNG"))
        data[22:24] = twice
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == "BMP":
        data = bytearray(encoded(PICTURE, "BMP"))
        data[22:26] = struct.pack("<i", 600)
    elif kind == "PPM":
        data = bytearray(encoded(PICTURE, "PPM").replace(b"300 300", b"300 600", 1))
    elif kind == "GIF":
        data = bytearray(encoded(PICTURE.quantize(16), "GIF"))
        at = data.index(b"\x2c" + bytes(4) + struct.pack("<HH", 300, 300)) + 7
        data[8:10] = data[at : at + 2] = struct.pack("<H", 600)
    else:
        options = {"compression": "tiff_lzw"} if "LZW" in kind else {}
        data = bytearray(encoded(PICTURE, "TIFF", **options))
        directory = struct.unpack_from("<I", data, 4)[0]
        for at in range(directory + 2, directory + 2 + 12 * data[directory], 12):
            if struct.unpack_from("<H", data, at)[0] == 257:  # ImageLength
                data[at + 8 : at + 12] = struct.pack("<I", 600)
    return bytes(data)


@pytest.mark.parametrize(
    "kind", ["JPEG", "progressive JPEG", "PNG", "BMP", "PPM", "GIF", "TIFF", "TIFF, LZW"]
)
def test_a_header_that_claims_more_than_the_data_hold_is_refused(kind):
    with pytest.raises(BadImageError, match="truncated|damaged"):
        to_square(of_twice_the_height(kind), "x.jpg")


def test_png_of_every_form_is_complete():
    """Interlaced or not, of any depth; a changed byte of the pixels is found by zlib's checksum."""
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        assert read_square(encoded(PICTURE.convert(mode), "PNG"), "x.png").pixels.any()
    for width, height in ((1, 1), (3, 9), (5, 2), (300, 299)):
        rows = b"".join(
            bytes((1 + 3 * -((left - width) // across)) * -((top - height) // down))
            for left, top, across, down in (
                *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
                *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
            )
            if left < width and top < height
        )
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)

        def png(content: bytes, header=header) -> bytes:
            chunks = b"\x89PNG\r\n\x1a\n"
            for kind, body in (
                (b"IHDR", header),
                (b"IDAT", zlib.compress(content)),
                (b"IEND", b""),
            ):
                crc = struct.pack(">I", zlib.crc32(kind + body))
                chunks += struct.pack(">I", len(body)) + kind + body + crc
            return chunks

        assert not to_square(png(rows), "x.png").any()
        with pytest.raises(BadImageError, match="truncated"):
            to_square(png(rows[:-1]), "x.png")
    data = bytearray(encoded(NOISE, "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(BadImageError, match=r"damaged|truncated"):
        to_square(bytes(data), "x.png")


@pytest.mark.parametrize("kind", ["EPS", "PCX", "ICO", "TGA", "PDF"])
def test_other_formats_are_not_opened(kind):
    """For EPS Pillow would call Ghostscript."""
    with pytest.raises(BadImageError, match="not an image of JPEG, PNG"):
        to_square(encoded(PICTURE, kind), "x.jpg")


def test_links_and_devices_of_an_archive_are_counted(tmp_path):
    jpeg, path = JPEGS["baseline"], tmp_path / "images.tar"
    types = {
        "symlink.jpg": tarfile.SYMTYPE,
        "link.jpg": tarfile.LNKTYPE,
        "pipe.jpg": tarfile.FIFOTYPE,
    }
    types["device.jpg"] = tarfile.CHRTYPE
    with tarfile.open(path, "w") as tar:
        file = tarfile.TarInfo("a.jpg")
        file.size = len(jpeg)
        tar.addfile(file, io.BytesIO(jpeg))
        for name, kind in types.items():
            other = tarfile.TarInfo(name)
            other.type, other.linkname = kind, "a.jpg"
            tar.addfile(other)
    images, members = TarImages(), images_of(path)
    images.add(members, [0] * len(members))
    assert images.names == sorted(["a.jpg", *types])
    for index, name in enumerate(images.names):
        if name in types:
            with pytest.raises(BadImageError, match=rf"{name}: is a link, a device or sparse"):
                images.load(index, resize=PAPER)
        else:
            assert images.load(index, resize=PAPER).pixels.any()
