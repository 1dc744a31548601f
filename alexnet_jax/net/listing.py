"""A net layer by layer: each layer's output, its cost and what it reads of the other column."""

import dataclasses
import math

import jax
from flax import traverse_util
from rich.table import Table

from alexnet_jax.net.alexnet import AlexNet
from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.blocks import IMAGE_CHANNELS
from alexnet_jax.net.parameters import params_of
from alexnet_jax.system.random_streams import root_key


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer of a net.

    Attributes:
      layer: its row in the table of architectures.
      product: shape of one column's product, (H, W, channels) or (units,); of a dropped layer, of
        what it reads.
      output: shape of what one column passes on, after all that follows the product.
      parameters: weights and biases of all columns.
      flops: of the forward product of one image, all columns, 2 a multiply-add.
      received: values of one image that a column gets from the other one before the product.
      received_bytes: their bytes.
    """

    layer: Layer
    product: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int
    flops: int
    received: int
    received_bytes: int


def rows(arch: Architecture) -> list[Row]:
    """Return the layers of a net."""
    params, shapes = _shapes(arch)
    received, listed = 0, []
    output: tuple[int, ...] = (arch.image_size, arch.image_size, IMAGE_CHANNELS)
    for layer in arch.layers:
        if layer.reads == "sum":
            received = arch.classes if arch.columns == 2 else 0
        elif not arch.crosses(layer):
            received = 0
        values = params.get(layer.name, {})  # a dropped layer has none, and passes on what it reads
        product = shapes.get(layer.name, output)
        output = shapes.get(arch.output(layer), product)
        flops = 2 * values["kernel"].size * math.prod(product[:-1]) if values else 0
        parameters = sum(x.size for x in values.values())
        dtype = jax.numpy.dtype("float32" if layer.reads == "sum" else arch.compute_dtype)
        crossing = received * dtype.itemsize
        listed.append(Row(layer, product, output, parameters, flops, received, crossing))
        received = math.prod(output)
    return listed


def _shapes(arch: Architecture) -> tuple[dict, dict]:
    """Return the parameters' shapes, and name -> shape of one image's activation in one column."""
    names = [layer.name for layer in arch.layers if not layer.identity]
    names += [arch.output(layer) for layer in arch.layers if layer.then]

    def run() -> tuple[dict, dict]:
        net = AlexNet(arch, key=root_key(0))
        images = jax.numpy.zeros((1, arch.image_size, arch.image_size, IMAGE_CHANNELS))
        return params_of(net), net(images, activations=names)[1]

    params, kept = jax.eval_shape(run)
    return params, {name: x.shape[2:] for name, x in kept.items()}


def count(arch: Architecture) -> int:
    """Return the number of parameters."""
    return sum(row.parameters for row in rows(arch))


def operations(arch: Architecture, layer: Layer) -> str:
    """Return what a layer does, in order: "11x11 /4, relu, LRN, pool 3/2"."""
    size = f"{layer.kernel}x{layer.kernel}" if layer.kernel else "full"
    stride = f" /{layer.stride}" if layer.stride > 1 else ""
    padding = f" +{layer.padding}" if layer.padding else ""
    product = "dropped" if layer.identity else f"{size}{stride}{padding}"
    return ", ".join([product, *(_operation(arch, layer, op) for op in layer.then)])


def _operation(arch: Architecture, layer: Layer, op: str) -> str:
    if op == "activation":
        return arch.activation
    if op == "norm":
        return "LRN" if arch.norm == "lrn" else f"{arch.norm} norm"
    if op == "pool":
        pool = arch.pool_of(layer)
        kind = "" if pool.kind == "max" else f"{pool.kind} "
        return f"{kind}pool {pool.window}/{pool.stride}"
    return op.replace("_", " ")


def table(arch: Architecture) -> Table:
    """Return the listing for a terminal."""
    columns = "column" if arch.columns == 1 else "columns"
    shown = Table(
        *("layer", "operations", "a column gives", "parameters", "MFLOP", "from the other column"),
        title=f"{arch.name}: {arch.columns} {columns}, {arch.image_size} pixels. {arch.source}",
        title_justify="left",
    )
    listed = rows(arch)
    for row in listed:
        received = f"{row.received:,} values" if row.received else ""
        if row.layer.reads == "sum" and row.received:
            received += " (sum)"
        shown.add_row(
            row.layer.name,
            operations(arch, row.layer),
            "x".join(map(str, row.output)),
            f"{row.parameters:,}",
            f"{row.flops / 1e6:,.1f}",
            received,
        )
    total, flops = sum(row.parameters for row in listed), sum(row.flops for row in listed)
    shown.add_section()
    shown.add_row("", "forward, one image", "", f"{total:,}", f"{flops / 1e6:,.1f}", "")
    return shown


def differences(first: Architecture, second: Architecture) -> list[tuple[str, str, str]]:
    """Return (field, value of the first, value of the second) for each field that differs."""
    one, other = _flat(first), _flat(second)
    rows = []
    for name in one | other:
        if name not in ("source", "name") and one.get(name) != other.get(name):
            rows.append((name, _text(one.get(name)), _text(other.get(name))))
    return rows


def _flat(arch: Architecture) -> dict:
    """Return field -> value: layers.conv1.stride, lrn.k."""
    fields = dataclasses.asdict(arch)
    fields["layers"] = {layer["name"]: layer for layer in fields["layers"]}
    for part in ("std", "bias"):
        of_each = fields["init"][part].items()
        fields["init"][part] = {name: x for name, x in of_each if name in fields["layers"]}
    flat = traverse_util.flatten_dict(fields)
    return {".".join(map(str, path)): value for path, value in flat.items()}


def _text(value) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
