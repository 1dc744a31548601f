"""A net layer by layer: what each gives, costs and receives from the other column."""

import dataclasses
import math

import jax
from flax import nnx
from rich.table import Table

from alexnet_jax.net.alexnet import IMAGE_CHANNELS, AlexNet, crosses
from alexnet_jax.net.architecture import Architecture, Layer, PerLayer
from alexnet_jax.net.resolving import overrides, resolve


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer of a net.

    Attributes:
      layer: what the table says of it.
      product: shape of one column's product, (H, W, maps) or (units,).
      output: shape of what one column passes on, after all that follows the product.
      parameters: weights and biases of all columns.
      flops: of the forward product of one image, all columns, 2 a multiply-add.
      received: values of one image that a column gets from the other one before the product.
    """

    layer: Layer
    product: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int
    flops: int
    received: int


def net_of(name: str) -> Architecture:
    """Return a row of the table, complete.

    Raises:
      ConfigError: there is no such row.
    """
    return resolve(overrides(name))


def rows(arch: Architecture) -> list[Row]:
    """Return the layers of a net."""
    names = [name for layer in arch.layers for name in (layer.name, arch.output(layer))]
    params, kept = jax.eval_shape(lambda: _run(arch, names))
    received, found = 0, []
    for layer in arch.layers:
        columns = 1 if layer.reads == "sum" else arch.columns
        product, output = (kept[name].shape[2:] for name in (layer.name, arch.output(layer)))
        kernel = params[layer.name]["kernel"].shape
        if layer.reads == "sum":
            received = arch.classes if arch.columns == 2 else 0
        elif not (crosses(arch, layer) and arch.columns == 2):
            received = 0
        macs = math.prod(kernel) * math.prod(product[:-1])
        sizes = [math.prod(x.shape) for x in params[layer.name].values()]
        assert kernel[0] in (columns, arch.columns)
        found.append(Row(layer, product, output, sum(sizes), 2 * macs, received))
        received = math.prod(output)
    return found


def _run(arch: Architecture, names: list[str]):
    model = AlexNet(arch, key=jax.random.key(0))
    shape = (1, arch.image_size, arch.image_size, IMAGE_CHANNELS)
    _, kept = model(jax.numpy.zeros(shape), activations=names)
    return nnx.to_pure_dict(nnx.state(model, nnx.Param)), kept


def count(arch: Architecture) -> int:
    """Return the number of parameters."""
    return sum(row.parameters for row in rows(arch))


def operations(arch: Architecture, layer: Layer) -> str:
    """Return what a layer does, in order: "11x11 /4, relu, LRN, pool 3/2"."""
    size = f"{layer.kernel}x{layer.kernel}" if layer.kernel else "full"
    stride = f" /{layer.stride}" if layer.stride > 1 else ""
    padding = f" +{layer.padding}" if layer.padding else ""
    return ", ".join([f"{size}{stride}{padding}", *(_operation(arch, op) for op in layer.then)])


def _operation(arch: Architecture, op: str) -> str:
    if op == "activation":
        return arch.activation
    if op == "norm":
        return "LRN" if arch.norm == "lrn" else f"{arch.norm} norm"
    if op == "pool":
        return f"pool {arch.pool.window}/{arch.pool.stride}"
    return op.replace("_", " ")


def table(arch: Architecture) -> Table:
    """Return the listing for a terminal."""
    columns = "column" if arch.columns == 1 else "columns"
    shown = Table(
        *("layer", "operations", "a column gives", "parameters", "MFLOP", "from the other column"),
        title=f"{arch.name}: {arch.columns} {columns}, {arch.image_size} pixels. {arch.source}",
        title_justify="left",
    )
    for row in rows(arch):
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
    found = rows(arch)
    total, flops = sum(row.parameters for row in found), sum(row.flops for row in found)
    shown.add_section()
    shown.add_row("", "forward, one image", "", f"{total:,}", f"{flops / 1e6:,.1f}", "")
    return shown


def differences(first: Architecture, second: Architecture) -> list[tuple[str, str, str]]:
    """Return (field, value of the first, value of the second) of all that differs."""
    found = []
    named = {layer.name for arch in (first, second) for layer in arch.layers}
    absent = {field.name for field in dataclasses.fields(PerLayer)} - named
    one, other = (_flat(dataclasses.asdict(arch)) for arch in (first, second))
    for name in (*one, *(name for name in other if name not in one)):
        nobodys = name.startswith("init.") and name.rpartition(".")[2] in absent
        known = name in ("source", "name") or nobodys
        if not known and one.get(name) != other.get(name):
            found.append((name, _said(one.get(name)), _said(other.get(name))))
    return found


def _flat(tree: dict, prefix: str = "") -> dict:
    flat: dict = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if name == "layers":
            value = {layer["name"]: layer for layer in value}
        if isinstance(value, dict):
            flat |= _flat(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def _said(value) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
