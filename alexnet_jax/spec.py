"""The named nets as one table. A spec is data: the model reads it and decides nothing itself.

`SPECS["paper"]` is the net of the text (NIPS 2012, section 3). `overrides` gives the part of a
config that may change single fields of a spec; `resolve` puts the two together.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from alexnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Layer:
    """One row of a net: a product with learned weights, then what follows it, in order."""

    name: str
    kernel: int = 0  # pixels; 0: fully connected
    stride: int = 1  # pixels
    padding: int = 0  # pixels on each side; convolution.ceil_padding says what the far ones add
    # image; own: this column; both: all columns; sum: own, then added over columns
    reads: str = "own"
    then: tuple[str, ...] = ()  # of activation, norm, pool, dropout
    identity: bool = False  # dropped by drop_layers: only `then` is left


@dataclasses.dataclass(frozen=True)
class PerLayer:
    """One number for each layer."""

    conv1: float = 0.0
    conv2: float = 0.0
    conv3: float = 0.0
    conv4: float = 0.0
    conv5: float = 0.0
    fc6: float = 0.0
    fc7: float = 0.0
    fc8: float = 0.0


@dataclasses.dataclass(frozen=True)
class LRN:
    """Local response normalization (paper 3.3)."""

    enabled: bool = True
    n: int = 5  # maps in the window; odd
    k: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75
    alpha_over_n: bool = False  # divide alpha by n (the program, Caffe, PyTorch)
    scope: str = "column"  # column: windows stay in a column; layer: they cross (Caffe's one net)


@dataclasses.dataclass(frozen=True)
class Pool:
    """Max pooling (paper 3.4): overlapping where window > stride. Both in pixels."""

    window: int = 3
    stride: int = 2


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Dropout (paper 4.2) after fc6 and fc7: mask in training, times 1 - rate at test."""

    rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class Init:
    """Weights ~ N(0, std^2), biases constant (paper 5)."""

    std: PerLayer = PerLayer(*[0.01] * 8)
    bias: PerLayer = PerLayer(conv2=1.0, conv4=1.0, conv5=1.0, fc6=1.0, fc7=1.0)


@dataclasses.dataclass(frozen=True)
class Spec:
    """A net, complete. `layers`, `widths` and `source` are the table's; the rest can be set."""

    source: str
    layers: tuple[Layer, ...]
    widths: Mapping[int, Mapping[str, int]]  # columns -> layer -> maps or neurons per column
    spec: str = "paper"  # the row's name
    columns: int = 2
    cross_columns: bool = True  # False: columns meet only in the sum of fc8
    drop_layers: Any = ()  # names, as a tuple or with commas between; not conv1, not fc8
    width: float = 1.0  # factor on maps and neurons
    classes: int = 1000
    image_size: int = 224  # pixels; 224 is padded by 3 at the bottom and right, 227 needs none
    activation: str = "relu"
    norm: str = "lrn"
    lrn: LRN = LRN()
    pool: Pool = Pool()
    dropout: Dropout = Dropout()
    init: Init = Init()
    compute_dtype: str = "float32"

    def features(self, name: str) -> int:
        """Return the maps or neurons of layer `name` in one column (fc8: the classes)."""
        if name == "fc8":
            return self.classes
        return max(1, round(self.widths[self.columns][name] * self.width))


_CONV = ("conv1", "conv2", "conv3", "conv4", "conv5")
_FC = ("fc6", "fc7")
_THEN_NORM_POOL = ("activation", "norm", "pool")  # paper 3.5

SPECS = {
    "paper": Spec(
        source="NIPS 2012, section 3; one column: layers-145-half.cfg",
        layers=(
            Layer("conv1", 11, stride=4, reads="image", then=_THEN_NORM_POOL),
            Layer("conv2", 5, padding=2, then=_THEN_NORM_POOL),
            Layer("conv3", 3, padding=1, reads="both", then=("activation",)),
            Layer("conv4", 3, padding=1, then=("activation",)),
            Layer("conv5", 3, padding=1, then=("activation", "pool")),
            Layer("fc6", reads="both", then=("activation", "dropout")),
            Layer("fc7", reads="both", then=("activation", "dropout")),
            Layer("fc8", reads="sum"),
        ),
        widths={
            2: dict(zip(_CONV + _FC, (48, 128, 192, 192, 128, 2048, 2048), strict=True)),
            1: dict(zip(_CONV + _FC, (48, 128, 192, 192, 256, 4096, 4096), strict=True)),
        },
    ),
}

CHOICES = {
    "activation": ("relu", "tanh", "sigmoid"),
    "norm": ("lrn", "batch", "layer", "group", "none"),
    "lrn.scope": ("column", "layer"),
    "columns": (1, 2),
    "compute_dtype": ("float32", "bfloat16"),
}
_TABLE_ONLY = ("source", "layers", "widths")


def overrides(name: str) -> ConfigDict:
    """Return config.model: the spec's name, and every field that may be set, each unset (None)."""
    model = _placeholders(Spec)
    model.spec = name
    return model


def _placeholders(kind: type) -> ConfigDict:
    section = ConfigDict()
    for name, hint in get_type_hints(kind).items():
        if name in _TABLE_ONLY:
            continue
        if dataclasses.is_dataclass(hint):
            section[name] = _placeholders(hint)  # type: ignore[arg-type]
        elif hint is Any:
            section[name] = FieldReference(None, field_type=object)
        else:
            section[name] = placeholder(hint)
    return section


def resolve(model: ConfigDict, found: int | None = None) -> Spec:
    """Return the spec that config.model describes: its row with the fields that are set.

    Args:
      model: config.model.
      found: classes of the dataset, taken where model.classes is 0 and compared with it else;
        None: not known yet.

    Raises:
      ConfigError: a name, choice or number that no net can have, or not with these classes.
    """
    if model.spec not in SPECS:
        raise ConfigError(f"model.spec is one of {', '.join(SPECS)}; got {model.spec!r}")
    spec = _with(SPECS[model.spec], model)
    if spec.classes == 0:
        spec = dataclasses.replace(spec, classes=found or 2)
    if found is not None and spec.classes != found:
        raise ConfigError(
            f"model.classes is {spec.classes} but the dataset has {found} classes: "
            "set model.classes=0 to take what it has"
        )
    _check(spec)
    dropped = spec.drop_layers
    names = dropped.split(",") if isinstance(dropped, str) else dropped
    return _drop(spec, tuple(name.strip() for name in names if name.strip()))


def _with(row: Any, section: ConfigDict) -> Any:
    changes = {}
    for name, value in section.items():
        if isinstance(value, ConfigDict):
            changes[name] = _with(getattr(row, name), value)
        elif value is not None:
            changes[name] = value
    return dataclasses.replace(row, **changes)


def _check(spec: Spec) -> None:
    for path, choices in CHOICES.items():
        value: Any = spec
        for part in path.split("."):
            value = getattr(value, part)
        if value not in choices:
            listed = ", ".join(map(str, choices))
            raise ConfigError(f"model.{path} is one of {listed}; got {value!r}")
    bounds = (
        ("lrn.n", spec.lrn.n, spec.lrn.n >= 1 and spec.lrn.n % 2 == 1, "an odd number of maps"),
        ("lrn.k", spec.lrn.k, spec.lrn.k >= 0, "at least 0"),
        ("pool.window", spec.pool.window, spec.pool.window >= 1, "at least 1"),
        ("pool.stride", spec.pool.stride, spec.pool.stride >= 1, "at least 1"),
        ("dropout.rate", spec.dropout.rate, 0 <= spec.dropout.rate < 1, "in [0, 1)"),
        ("width", spec.width, spec.width > 0, "a factor above 0"),
        ("classes", spec.classes, spec.classes >= 2, "at least 2 (0 lets the dataset say)"),
        ("image_size", spec.image_size, 67 <= spec.image_size <= 256, "67 to 256 pixels"),
    )
    for path, value, holds, expected in bounds:
        if not holds:
            raise ConfigError(f"model.{path} is {expected}; got {value!r}")


def _drop(spec: Spec, names: tuple[str, ...]) -> Spec:
    """Take layers out (paper 7: "any of the middle layers"); their pooling stays."""
    middle = tuple(layer.name for layer in spec.layers[1:-1])
    if unknown := [name for name in names if name not in middle]:
        raise ConfigError(f"model.drop_layers takes {', '.join(middle)}; got {', '.join(unknown)}")
    rows = []
    for layer in spec.layers:
        if layer.name in names:
            kept = tuple(op for op in layer.then if op == "pool")
            layer = dataclasses.replace(layer, identity=True, then=kept)
        rows.append(layer)
    return dataclasses.replace(spec, layers=tuple(rows), drop_layers=names)
