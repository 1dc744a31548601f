"""The `shapes` dataset: ten classes drawn on this machine, without a download.

The red, green and blue disc differ in colour only; the plain, striped and checked square differ in
texture only; the square, triangle, star, ring and cross differ in form and have any colour.
Position, size, angle, colours and noise are random, and a pure function of (split, index, pixels a
side).
"""

import functools

import numpy as np
from PIL import Image, ImageDraw

from alexnet_jax.data.decode.images import Square
from alexnet_jax.data.decode.resize import PAPER, Resize
from alexnet_jax.data.sources.source import Item, Source, Split, digest_of

CLASS_NAMES = (
    "red_disc",
    "green_disc",
    "blue_disc",
    "plain_square",
    "striped_square",
    "checked_square",
    "triangle",
    "star",
    "ring",
    "cross",
)
SPLIT_SIZES = {"train": 4000, "validation": 1000}

_SPLIT_KEYS = {"train": 0, "validation": 1}
_OVERSAMPLING = 2  # the form is drawn this much larger, then averaged for smooth edges
_DISC_COLOURS = {"red_disc": (215, 45, 40), "green_disc": (40, 165, 55), "blue_disc": (45, 75, 215)}
_MIN_CONTRAST = 120.0  # Euclidean distance in RGB levels between the shape and what is behind it
_MAX_ANGLE = np.pi / 9  # forms are turned by up to 20 degrees
_NOISE = 16  # levels, uniform in [-16, 16]


def shapes_source() -> Source:
    """Return the source of the drawn shapes, SPLIT_SIZES images in each split."""

    def draw(split: str, index: int, resize: Resize) -> Square:
        return Square(render(split, index, resize.size)[0])  # a shape is drawn at its size

    def item(split: str, index: int) -> Item:
        label = index % len(CLASS_NAMES)
        return Item(f"{split}_{index:06d}", label, functools.partial(draw, split, index))

    splits = {s: Split(n, functools.partial(item, s)) for s, n in SPLIT_SIZES.items()}
    return Source(CLASS_NAMES, splits, digest_of(SPLIT_SIZES.items()))


def render(split: str, index: int, size: int = PAPER.size) -> tuple[np.ndarray, int]:
    """Draw image `index` of "train" or "validation", `size` pixels a side.

    Pictures of one index and several sizes show the same scene; their noise differs.

    Returns:
      (size, size, 3) uint8 RGB, and the label, index % 10.

    Raises:
      ValueError: there is no such split, or the index is negative.
    """
    if split not in _SPLIT_KEYS or index < 0:
        raise ValueError(f"expected split train or validation and index >= 0: {split!r}, {index}")
    rng = np.random.Generator(np.random.Philox(key=[_SPLIT_KEYS[split], index]))
    label = index % len(CLASS_NAMES)
    name = CLASS_NAMES[label]
    radius = size * rng.uniform(72 / 256, 100 / 256)
    margin = radius + size / 64
    centre = rng.uniform(margin, size - margin, size=2)
    angle = rng.uniform(-_MAX_ANGLE, _MAX_ANGLE)
    colour = _shape_colour(rng, name)
    background = _contrasting(rng, colour)
    mask = _mask(name, size, centre, radius, angle)
    marks = _pattern(rng, name, size, centre, radius, angle)
    noise = rng.integers(-_NOISE, _NOISE, size=(3, size, size), dtype=np.int8, endpoint=True)
    image = np.empty((size, size, 3), np.uint8)
    for c in range(3):  # plane by plane: NumPy is slow where the last axis is 3
        plane = background[c] + mask * (colour[c] * marks - background[c]) + noise[c]
        image[..., c] = np.clip(np.rint(plane), 0, 255)
    return image, label


def _shape_colour(rng: np.random.Generator, name: str) -> np.ndarray:
    """Return a (3,) float32 colour: for a disc near that of its class, else bright and random."""
    if name in _DISC_COLOURS:
        colour = np.asarray(_DISC_COLOURS[name], np.float32) + rng.uniform(-25, 25, size=3)
    else:
        # One channel is high, one low, one between: any hue, always saturated.
        colour = rng.permutation([rng.uniform(190, 245), rng.uniform(20, 60), rng.uniform(20, 245)])
    return colour.astype(np.float32)


def _contrasting(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Return a (3,) float32 colour of low saturation that contrasts with `colour`."""
    while True:
        background = rng.uniform(20, 235) + rng.uniform(-20, 20, size=3)
        if np.linalg.norm(background - colour) >= _MIN_CONTRAST:
            return background.astype(np.float32)


def _mask(name: str, size: int, centre: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """Return which share of each pixel the form covers: (size, size) float32 in [0, 1]."""
    canvas = Image.new("L", (size * _OVERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    if name.endswith("_disc") or name == "ring":
        _circle(draw, centre, radius, 255)
        if name == "ring":
            _circle(draw, centre, 0.55 * radius, 0)
    else:
        points = _outline(name) * radius
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        draw.polygon(((points @ turn + centre) * _OVERSAMPLING).ravel().tolist(), fill=255)
    return np.asarray(canvas.reduce(_OVERSAMPLING), np.float32) / 255


def _circle(draw: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, fill: int) -> None:
    corners = np.concatenate([centre - radius, centre + radius]) * _OVERSAMPLING
    draw.ellipse(corners.tolist(), fill=fill)


def _outline(name: str) -> np.ndarray:
    """Return the corners of a form in the unit circle, in order: (corners, 2)."""
    if name == "cross":
        a = 0.3  # half the width of an arm
        quarter = np.array([[1.0, -a], [1.0, a], [a, a]])
        turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    corners, inner = {"triangle": (3, 0.0), "star": (5, 0.4)}.get(name, (4, 0.0))
    steps = np.arange(2 * corners if inner else corners)
    turns = 2 * np.pi * steps / len(steps)
    radii = np.where(steps % 2, inner, 1.0) if inner else np.ones(len(steps))
    return np.stack([radii * np.cos(turns), radii * np.sin(turns)], axis=1)


def _pattern(
    rng: np.random.Generator, name: str, size: int, centre: np.ndarray, radius: float, angle: float
) -> np.ndarray | float:
    """Return the brightness of a texture: (size, size) float32, or 1 for a plain form."""
    if name not in ("striped_square", "checked_square"):
        return 1.0
    period = radius * rng.uniform(0.36, 0.48)  # a bright and a dark stripe, pixels
    x = np.arange(size, dtype=np.float32) - np.float32(centre[0])
    y = (np.arange(size, dtype=np.float32) - np.float32(centre[1]))[:, None]
    angle += np.pi / 4  # at angle 0 the square stands on a corner
    across = (x * np.cos(angle) + y * np.sin(angle)) / period
    bright = (across - np.floor(across)) < 0.5
    if name == "checked_square":
        along = (y * np.cos(angle) - x * np.sin(angle)) / period
        bright ^= (along - np.floor(along)) < 0.5
    return np.where(bright, np.float32(1), np.float32(0.15))
