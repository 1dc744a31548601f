"""resize against slow sums in float64: which part of a picture, which filter."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.data.decode import resize
from alexnet_jax.data.decode.images import BadImageError, read_square, to_square
from alexnet_jax.data.decode.resize import FILTERS, FORMS, Resize, resized
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.errors import DataError
from tests.support import tiny

SIZE = 256
# Width, height: ILSVRC's usual ones; of which one side shrinks and the other grows; a small one.
SIZES = [(500, 375), (375, 500), (640, 200), (180, 320), (120, 90)]
BY_PILLOW = [name for name in FILTERS if not name.startswith("opencv_")]
BY_OPENCV = [name for name in FILTERS if name.startswith("opencv_")]


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth colours, edges and noise, (height, width, 3) uint8."""
    rng = np.random.default_rng([width, height, seed])
    small = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    edges = 40 * (np.indices((height, width)).sum(0) // 23 % 2)[..., None]
    return np.clip(smooth + edges + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def lanczos3(x: float) -> float:
    return float(np.sinc(x) * np.sinc(x / 3)) if abs(x) < 3 else 0.0


def cubic(x: float, a: float) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def box(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def weights(name: str, old: int, first: float, length: float, new: int) -> np.ndarray:
    """Return (new, old): what each old pixel is to each new one of `length` pixels from `first`.

    Written down from what each filter is: a function of the distance of pixel centres, stretched
    where it is antialiased and the picture shrinks, its sum one.
    """
    step = length / new
    table = np.zeros((new, old))
    for i in range(new):
        centre = first + (i + 0.5) * step - 0.5
        if name == "opencv_area" and step >= 1:  # the length that each pixel has in the interval
            low, high = first + i * step, first + (i + 1) * step
            for j in range(int(low), min(int(high) + 2, old)):
                table[i, j] = max(0.0, min(high, j + 1) - max(low, j))
            continue
        pillow = not name.startswith("opencv_")
        stretch = max(step, 1.0) if pillow else 1.0
        kernel = {
            "bilinear": triangle,
            "opencv_linear": triangle,
            "lanczos": lanczos3,
            "area": box if step >= 1 else lambda x: cubic(x, -0.5),
            "opencv_area": lambda x: cubic(x, -0.75),
        }[name]
        for j in range(int(centre - 4 * stretch) - 1, int(centre + 4 * stretch) + 2):
            # Pillow cuts a filter off at the edge; OpenCV repeats the last pixel.
            if pillow and not 0 <= j < old:
                continue
            table[i, min(max(j, 0), old - 1)] += kernel((j - centre) / stretch)
    return table / table.sum(1, keepdims=True)


def by_hand(pixels: np.ndarray, form: str, name: str, size: int) -> list[np.ndarray]:
    """Return the (size, size, 3) float64 square of a picture, with either direction done first."""
    height, width = pixels.shape[:2]
    if form == "warp":
        down, across = (weights(name, n, 0, n, size) for n in (height, width))
    elif name == "bilinear":  # torchvision's Resize and CenterCrop
        sides = [(n, int(size * n / min(height, width))) for n in (height, width)]
        down, across = (
            weights(name, n, 0, n, new)[round((new - size) / 2.0) :][:size] for n, new in sides
        )
    elif name in BY_PILLOW:  # the central square itself
        side = min(height, width)
        down, across = (weights(name, n, (n - side) / 2, side, size) for n in (height, width))
    else:  # the whole, to whole pixels, then the middle
        side = min(height, width)
        down, across = (
            weights(name, n, 0, n, new)[(new - size) // 2 :][:size]
            for n, new in ((n, int(n * size / side + 0.5)) for n in (height, width))
        )
    mixed = form == "warp" and (width >= size) != (height >= size)
    stored = name in BY_PILLOW or mixed  # as bytes between the directions

    def along(axis: int, table: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.moveaxis(np.tensordot(table, x, (1, axis)), 0, axis)

    found = []
    for first, second in (((1, across), (0, down)), ((0, down), (1, across))):
        between = along(*first, pixels.astype(np.float64))
        between = np.clip(between, 0, 255) if stored else between
        found.append(np.clip(along(*second, between), 0, 255))
    return found


@pytest.mark.parametrize("side", [32, 64, SIZE, 512])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FILTERS)
def test_against_the_sums(form, name, side):
    if name in BY_OPENCV:
        pytest.importorskip("cv2")
    for size in SIZES if side == SIZE else [(500, 375), (180, 320), (70, 41)]:
        pixels = picture(*size)
        found = np.asarray(resized(Image.fromarray(pixels), Resize(form, name, side)))
        assert found.shape == (side, side, 3) and found.dtype == np.uint8
        # Which direction is first is Pillow's choice. It rounds to whole levels after each.
        errors = [np.abs(found - expected) for expected in by_hand(pixels, form, name, side)]
        assert min(error.max() for error in errors) < 1.5, size


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("side", [32, 64])
def test_a_square_of_that_size_stays_as_it_is(form, name, side):
    """CIFAR-10 and Tiny ImageNet at their own size."""
    if name in BY_OPENCV:
        pytest.importorskip("cv2")
    pixels = picture(side, side)
    square = read_square(encoded(pixels), "x.png", Resize(form, name, side))
    np.testing.assert_array_equal(square.pixels, pixels)
    assert square.issues == ()
    assert read_square(encoded(pixels), "x.png", Resize(form, name, side + 1)).issues == (
        f"smaller than {side + 1}",
    )


def encoded(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    options |= {"compress_level": 0} if kind == "PNG" else {}
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("name", FILTERS)
def test_a_warp_of_a_picture_that_exif_turns(name):
    """Its sides swap: stored 375x500, seen 500x375, or stored 600x100, seen 100x600."""
    if name in BY_OPENCV:
        pytest.importorskip("cv2")
    warp = Resize("warp", name)
    for size in ((500, 375), (100, 600)):
        upright = picture(*size)
        expected = to_square(encoded(upright), "x.png", warp).astype(int)
        for orientation, stored in (
            (3, upright[::-1, ::-1]),
            (5, upright.transpose(1, 0, 2)),
            (6, np.rot90(upright, 1)),
            (8, np.rot90(upright, -1)),
        ):
            exif = Image.Exif()
            exif[0x0112] = orientation
            square = read_square(encoded(stored, exif=exif), "x.png", warp)
            assert "turned by EXIF" in square.issues
            # Across and down are rounded in the other order; a box of 1.46 pixels, centred on a
            # pixel, takes that or its neighbour.
            assert np.abs(square.pixels - expected).mean() < 1.0, orientation
            wrong = np.abs(square.pixels.transpose(1, 0, 2) - expected).mean()
            assert wrong > 10.0


@pytest.mark.parametrize("name", [n for n in FILTERS if n != "area"])
def test_only_the_area_filter_sees_a_jpeg_that_libjpeg_shrank(name):
    if name in BY_OPENCV:
        pytest.importorskip("cv2")
    data = encoded(picture(1500, 1100), "JPEG", quality=95)
    whole = np.asarray(Image.open(io.BytesIO(data)))  # decoded at full size
    for form in FORMS:
        square = to_square(data, "x.jpg", Resize(form, name))
        np.testing.assert_array_equal(
            square, to_square(encoded(whole), "x.png", Resize(form, name))
        )
    assert (to_square(data, "x.jpg") != to_square(encoded(whole), "x.png")).any()


def test_a_warp_of_a_large_jpeg_averages_enough_pixels():
    data = encoded(picture(2304, 1100), "JPEG", quality=95)
    warp = Resize("warp", "area")
    whole = encoded(np.asarray(Image.open(io.BytesIO(data))))
    error = np.abs(to_square(data, "x.jpg", warp).astype(int) - to_square(whole, "x.png", warp))
    assert error.mean() < 1.5


def test_long_strips_take_little_memory():
    pytest.importorskip("cv2")
    for size in ((1, 5000), (5000, 1), (3, 2000)):
        for name in BY_OPENCV:
            square = to_square(encoded(picture(*size)), "x.png", Resize("aspect", name))
            assert square.shape == (SIZE, SIZE, 3)


def test_without_opencv(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    resize._opencv.cache_clear()
    expected = 'needs OpenCV, which is not installed: pip install "opencv-python-headless<5"'
    with pytest.raises(DataError, match=expected) as caught:
        to_square(encoded(picture(40, 30)), "x.png", Resize("warp", "opencv_linear"))
    assert not isinstance(caught.value, BadImageError)  # or it would be skipped like a bad file
    for name in "ab":
        folder = tmp_path / "source" / "train" / name
        folder.mkdir(parents=True)
        for k in range(3):
            (folder / f"{k}.png").write_bytes(encoded(picture(40, 30, k)))
    data = tiny.data_config(tmp_path, resize_filter="opencv_area", max_bad_fraction=1.0)
    with pytest.raises(DataError, match=expected):
        prepare(data)
    assert not prepared_directory(data).exists()
    other = prepare(
        tiny.data_config(tmp_path, resize="warp", resize_filter="lanczos", storage="raw")
    )
    assert "-raw-warp-lanczos" in other.name
    name = other.file_names("train", [0])[0]
    source = (tmp_path / "source" / "train" / name).read_bytes()
    image = other.read("train", [0])[0][0]
    np.testing.assert_array_equal(image, to_square(source, name, Resize("warp", "lanczos")))
    assert (image != to_square(source, name)).any()
