"""images: every kind of file comes out as the right 256x256 RGB square."""

import concurrent.futures
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.data.decode.images import BadImageError, decode_jpeg, encode_jpeg, to_square
from alexnet_jax.errors import DataError

SIZE = 256
LEFT, RIGHT = (200, 30, 20), (10, 60, 220)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def two_halves(width: int = 256, height: int = 256) -> Image.Image:
    """Left half LEFT, right half RIGHT."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2] = LEFT
    pixels[:, width // 2 :] = RIGHT
    return Image.fromarray(pixels)


def natural(height: int = 256, width: int = 256) -> np.ndarray:
    """Smooth colours with some noise: like a photograph to a JPEG codec."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(256, 256), (500, 375), (375, 500), (64, 64), (1, 1), (257, 900)])
def test_size_and_centre(size):
    square = to_square(encoded(two_halves(*size)), "x.png")
    assert square.shape == (SIZE, SIZE, 3) and square.dtype == np.uint8
    if size[0] > 1:
        np.testing.assert_array_equal(square[:, 0], np.broadcast_to(LEFT, (SIZE, 3)))
        np.testing.assert_array_equal(square[:, -1], np.broadcast_to(RIGHT, (SIZE, 3)))


def test_crop_is_central():
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 128:384] = natural()
    square = to_square(encoded(Image.fromarray(pixels)), "wide.png")
    np.testing.assert_array_equal(square, natural())


def test_shrinking_is_the_area_average():
    pixels = natural(512, 512)
    mean = pixels.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    square = to_square(encoded(Image.fromarray(pixels)), "x.png")
    assert np.abs(square - mean).max() <= 1


@pytest.mark.slow
def test_large_jpeg_takes_the_fast_path_and_stays_close():
    pixels = natural(2048, 2304)
    data = encoded(Image.fromarray(pixels), "JPEG", quality=95)
    square = to_square(data, "x.jpg")
    full = to_square(encoded(Image.open(io.BytesIO(data))), "x.png")
    assert np.abs(square.astype(int) - full).mean() < 1.0


def test_grey_palette_and_two_level():
    grey = Image.fromarray(natural()[..., 0])
    expected = np.repeat(natural()[..., :1], 3, axis=2)
    np.testing.assert_array_equal(to_square(encoded(grey), "x.png"), expected)
    palette = two_halves().quantize(4)
    assert palette.mode == "P"
    np.testing.assert_array_equal(to_square(encoded(palette), "x.png"), np.asarray(two_halves()))
    np.testing.assert_array_equal(
        to_square(encoded(palette, "GIF"), "x.gif"), np.asarray(two_halves())
    )
    bits = Image.new("1", (300, 300), 1)
    assert (to_square(encoded(bits), "x.png") == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    """Pillow writes CMYK JPEG inverted with Adobe's marker, as Photoshop does."""
    data = encoded(two_halves().convert("CMYK"), kind)
    if kind == "JPEG":
        assert b"Adobe" in data
    square = to_square(data, "x").astype(int)
    assert np.abs(square[:, :100] - LEFT).max() <= 6
    assert np.abs(square[:, -100:] - RIGHT).max() <= 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(kind):
    levels = np.linspace(0, 65535, SIZE * SIZE).astype(np.uint16).reshape(SIZE, SIZE)
    square = to_square(encoded(Image.fromarray(levels), kind), "x")
    expected = np.rint(levels / 257).astype(np.uint8)
    np.testing.assert_array_equal(square, np.repeat(expected[..., None], 3, axis=2))


def test_mode_i_is_16_bit_or_refused():
    levels = np.full((256, 256), 65535, np.int32)
    assert (to_square(encoded(Image.fromarray(levels), "TIFF"), "x.tif") == 255).all()
    levels[0, 0] = 70000
    with pytest.raises(BadImageError, match=r"x.tif: integer pixels .*70000"):
        to_square(encoded(Image.fromarray(levels), "TIFF"), "x.tif")
    with pytest.raises(BadImageError, match="floating-point"):
        to_square(encoded(Image.new("F", (9, 9)), "TIFF"), "x.tif")


def test_transparency_is_on_white():
    rgba = np.dstack([np.asarray(two_halves()), np.full((256, 256), 255, np.uint8)])
    rgba[:, :128, 3] = 0
    rgba[:, 200:, 3] = 128
    square = to_square(encoded(Image.fromarray(rgba)), "x.png").astype(int)
    assert (square[:, :128] == 255).all()
    np.testing.assert_array_equal(square[0, 150], RIGHT)
    half = 255 + (np.array(RIGHT) - 255) * 128 / 255
    assert np.abs(square[0, 220] - half).max() <= 1
    palette = two_halves().quantize(2)
    data = encoded(palette, transparency=palette.getpixel((0, 0)))
    np.testing.assert_array_equal(to_square(data, "x.png")[0, 0], (255, 255, 255))
    data = encoded(palette, transparency=bytes([0, 255]))  # Pillow warns where this is converted
    assert to_square(data, "x.png").shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    """A picture stored under each orientation comes out as the one that was meant."""
    upright = natural(320, 256)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "TIFF"):
        image = Image.fromarray(np.ascontiguousarray(stored[orientation]))
        square = to_square(encoded(image, kind, exif=exif), "x")
        np.testing.assert_array_equal(square, upright[32:288])


def test_damaged_exif_does_not_matter():
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xee" * 30
    data = encoded(two_halves(), "JPEG", exif=exif)
    assert to_square(data, "x.jpg").shape == (SIZE, SIZE, 3)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with no pixels to match."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def test_bad_files_are_named():
    whole = encoded(Image.fromarray(natural()), "JPEG")
    for data, reason in (
        (b"", "empty"),
        (b"hello, no image here", "not an image"),
        (whole[: len(whole) // 2], "truncated"),
        (whole[:200], "not an image|truncated|damaged"),
        (encoded(Image.fromarray(natural()))[:5000], "truncated"),
        (png_of_size(20_000, 20_000), "decompression bomb"),
        (png_of_size(10_000, 10_000), "more than 89478485 pixels"),
        (png_of_size(300, 300), "truncated|damaged"),
    ):
        with pytest.raises(BadImageError, match=f"^some/file.jpg: .*({reason})") as caught:
            to_square(data, "some/file.jpg")
        assert isinstance(caught.value, DataError)
        assert caught.value.name == "some/file.jpg" and "\n" not in str(caught.value)


def test_threads_leave_the_warning_filters_alone():
    odd = encoded(two_halves().quantize(2), transparency=bytes([0, 255]))
    before = list(warnings.filters)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        squares = list(pool.map(to_square, [odd] * 40, ["x.png"] * 40))
    assert all((s == squares[0]).all() for s in squares)
    assert list(warnings.filters) == before


def test_jpeg_round_trip_is_pillows():
    pixels = natural()
    data = encode_jpeg(pixels)
    decoded = decode_jpeg(data)
    np.testing.assert_array_equal(decoded, np.asarray(Image.open(io.BytesIO(data))))
    assert np.abs(decoded.astype(int) - pixels).mean() < 6
    assert len(data) < pixels.size / 3
    out = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    assert decode_jpeg(data, out[1]).base is out
    np.testing.assert_array_equal(out[1], decoded)
    assert not out[0].any()
    assert len(encode_jpeg(pixels, quality=50)) < len(data)
    with pytest.raises(ValueError, match="."):
        decode_jpeg(data[: len(data) // 2])
