"""Find the training images that drive a unit most, and the piece of each that it sees.

The units are those of the last convolution and of the last hidden layer: the paper's conv5 and fc7.
A convolution's unit is a channel, and what counts is its largest pixel.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from PIL import Image

from alexnet_jax.analysis.explore.activations import Seen
from alexnet_jax.analysis.explore.content import jpeg
from alexnet_jax.analysis.features.extraction import last_hidden
from alexnet_jax.data.input import ten_crops
from alexnet_jax.data.prepare.prepare import prepared_directory
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.inference.predictor import Predictor, batch_size_for
from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.listing import rows
from alexnet_jax.net.on_mesh import make_forward, mesh_axes
from alexnet_jax.run.restore import Restored
from alexnet_jax.system.lines import say
from alexnet_jax.system.sharding import compiler_options, data_axis, group_axis

MOST = 9  # images of a unit
SIDE = 96  # pixels of an image on the page
ROOM = 2_000_000  # characters for all of it: five pictures of the paper's net take 11 MB beside
ENTRY = 60  # characters of one image's entry below a unit


class Peaks(NamedTuple):
    """The largest values of units, (columns, images, units).

    Attributes:
      values: float32, before the nonlinearity.
      pixels: the pixel that has it, counted row by row; 0 in a fully connected layer.
      images: the image's index in the training split.
    """

    values: np.ndarray
    pixels: np.ndarray
    images: np.ndarray


def training_images(restored: Restored, count: int) -> PreparedDataset | None:
    """Return the run's prepared training images, or None if count is 0 or they are gone.

    They are not prepared anew, since that may take hours; a line on stderr names the cause.
    """
    if not count:
        return None
    try:
        directory = prepared_directory(restored.config.copy_and_resolve_references().data)
        if not directory.exists():
            raise DataError(f"{directory} is gone")
        return restored.images(train=True)
    except DataError as error:
        say(f"warning: the page has no training images: {error}")
        return None


def pieces(
    restored: Restored, dataset: PreparedDataset, count: int, pictures: Sequence[Seen]
) -> dict[str, Any]:
    """Return what the page shows of the training images.

    searched: how many were looked at. images: jpeg and class of each that is shown. layers:
    layer -> "column unit" -> up to MOST of image (its index in images), value, and of a convolution
    frame: left, top, width and height of what the pixel sees, in pixels of the view.

    The units that are strongest in the pictures come first, until they take ROOM.

    Args:
      dataset: holds the training images.
      count: how many to look at, spread evenly over the split; all if there are fewer.
      pictures: what the net makes of the pictures of the page.
    """
    arch, total = restored.arch, dataset.num_examples("train")
    searched = np.linspace(0, total - 1, min(count, total)).astype(np.int64)
    best = drivers(restored, dataset, searched)
    width = {row.layer.name: row.product[0] for row in rows(arch)}
    windows = {x.name: windows_below(arch, x) for x in chosen(arch) if x.kernel}
    layers: dict[str, dict[str, list]] = {layer.name: {} for layer in chosen(arch)}
    shown: dict[int, int] = {}
    images: list[dict[str, str]] = []
    used = 0
    for layer, column, unit in _strongest_first(arch, pictures):
        units, key = layers[layer.name], f"{column} {unit}"
        if key in units:
            continue
        if used > ROOM:
            break
        units[key] = []
        peaks = (each[column, :, unit].tolist() for each in best[layer.name])
        for value, pixel, index in zip(*peaks, strict=True):
            if index not in shown:
                shown[index] = len(images)
                images.append(_image(restored, dataset, index))
                used += len(images[-1]["jpeg"])
            entry: dict[str, Any] = {"image": shown[index], "value": float(f"{value:.5g}")}
            if layer.kernel:
                y, x = divmod(pixel, width[layer.name])
                left, right = receptive_field(windows[layer.name], x)
                top, bottom = receptive_field(windows[layer.name], y)
                entry["frame"] = [left, top, right - left + 1, bottom - top + 1]
            units[key].append(entry)
            used += ENTRY
    return {"searched": len(searched), "images": images, "layers": layers}


def chosen(arch: Architecture) -> list[Layer]:
    """Return the last convolution and the last hidden layer, which may be the same."""
    there = [layer for layer in arch.layers if not layer.identity]
    conv, (hidden, _) = [layer for layer in there if layer.kernel][-1], last_hidden(arch)
    return [layer for layer in there if layer.name in (conv.name, hidden)]


def drivers(restored: Restored, dataset: PreparedDataset, searched: np.ndarray) -> dict[str, Peaks]:
    """Return, for each layer of `chosen`, each unit's MOST largest values, largest first.

    Args:
      restored: the net, which takes the central view of each image.
      dataset: holds the training images.
      searched: indices of the images to look at. Of equal values the first one counts.
    """
    predictor = Predictor(restored, make_peaks(restored.arch, restored.mesh))
    asked = min(restored.config.evaluate.batch_size, len(searched))
    size = batch_size_for(restored.mesh, asked=asked)
    best: dict[str, Peaks] = {}
    for start in range(0, len(searched), size):
        here = searched[start : start + size]
        images, _ = dataset.read("train", np.resize(here, size))  # the last batch repeats some
        for name, found in jax.device_get(predictor(images)).items():
            values, pixels = (x[:, : len(here)] for x in found)
            new = Peaks(values, pixels, np.broadcast_to(here[:, None], values.shape))
            both = zip(best.get(name, Peaks(*(x[:, :0] for x in new))), new, strict=True)
            joined = Peaks(*(np.concatenate(x, axis=1) for x in both))
            order = np.argsort(-joined.values, axis=1, kind="stable")[:, :MOST]
            best[name] = Peaks(*(np.take_along_axis(x, order, axis=1) for x in joined))
    return best


def make_peaks(arch: Architecture, mesh: Mesh) -> Callable:
    """Return the compiled peaks(params, stats, images, pixel_stats).

    It gives name -> (values, pixels), as `Peaks` has them, for each layer of `chosen`.
    """
    names = [layer.name for layer in chosen(arch)]

    def local(net, images, pixel_stats):
        view = ten_crops.central_view(images, pixel_stats, arch.image_size)
        _, kept = net(view, activations=names, **mesh_axes(mesh))
        flat = {name: x.reshape(*x.shape[:2], -1, x.shape[-1]) for name, x in kept.items()}
        return {name: (x.max(2).astype(jnp.float32), x.argmax(2)) for name, x in flat.items()}

    spec = P(group_axis(mesh), data_axis(mesh))
    forward = make_forward(arch, mesh, local, dict.fromkeys(names, (spec, spec)))
    return jax.jit(forward, compiler_options=compiler_options(mesh))


def windows_below(arch: Architecture, until: Layer) -> list[tuple[int, int, int, int]]:
    """Return the windows between the image and a convolution's product, along one side.

    Convolutions, poolings and norms have them: (window, stride, padding, input size), in pixels.
    """
    windows, size = [], arch.image_size
    for row in rows(arch):
        if row.layer.kernel and not row.layer.identity:
            windows.append((row.layer.kernel, row.layer.stride, row.layer.padding, size))
            size = row.product[0]
        if row.layer == until:
            break
        for op in row.layer.then:
            if op == "pool":
                pool = arch.pool_of(row.layer)
                windows.append((pool.window, pool.stride, 0, size))
                size = row.output[0]
            elif op == "spatial_norm" and arch.spatial_norm.enabled:
                windows.append((arch.spatial_norm.n, 1, arch.spatial_norm.n // 2, size))
            elif op == "norm" and arch.norm == "group":  # its moments are those of all pixels
                windows.append((2 * size - 1, 1, size - 1, size))
    return windows


def receptive_field(windows: list[tuple[int, int, int, int]], pixel: int) -> tuple[int, int]:
    """Return the first and the last pixel of the view that a pixel above the windows depends on."""
    first = last = pixel
    for window, stride, padding, size in reversed(windows):
        first = max(0, first * stride - padding)
        last = min(size - 1, last * stride - padding + window - 1)
    return first, last


def _strongest_first(
    arch: Architecture, pictures: Sequence[Seen]
) -> Iterator[tuple[Layer, int, int]]:
    """Yield layer, column and unit: first the strongest one of each sheet of the page, and so on.

    A sheet is of a picture, a column and a step, and the page sorts it by the sum of squares.
    """
    sheets = []
    for seen in pictures:
        for layer in chosen(arch):
            for name in (layer.name, *(arch.activation_name(layer, op) for op in layer.then)):
                values = np.square(seen.activations[name])
                energy = values.reshape(len(values), -1, values.shape[-1]).sum(axis=1)
                order = np.argsort(-energy, axis=1, kind="stable").tolist()
                sheets += [(layer, column, units) for column, units in enumerate(order)]
    for rank in range(max(len(units) for *_, units in sheets)):
        for layer, column, units in sheets:
            if rank < len(units):
                yield layer, column, units[rank]


def _image(restored: Restored, dataset: PreparedDataset, index: int) -> dict[str, str]:
    """Return the central view of a training image, small, and the words of its class."""
    (pixels,), (label,) = dataset.read("train", [index])
    size = restored.arch.image_size
    ((top, left, _),) = ten_crops.view_corners(1, size, len(pixels))
    view = Image.fromarray(pixels[top : top + size, left : left + size])
    view.thumbnail((SIDE, SIDE))
    return {"jpeg": jpeg(np.asarray(view)), "class": restored.words[label]}
