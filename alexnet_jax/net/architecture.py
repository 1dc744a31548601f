"""What a net is made of, as data: blocks.py builds what these dataclasses describe.

Those made with `field` (schema.py) are the fields of config.model.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from alexnet_jax.schema import Bound, at_least, field

_LRN = {"model.lrn.enabled": (True,)}
_SPATIAL_NORM = {"model.spatial_norm.enabled": (True,)}
_NORMAL = {"model.init.form": ("normal",)}


def _odd(what: str) -> Bound:
    return Bound(lambda value: value >= 1 and value % 2 == 1, f"an odd number of {what}")


@dataclasses.dataclass(frozen=True)
class Pool:
    """Pooling (paper 3.4): windows overlap where window > stride."""

    kind: str = field(
        "max",
        "How the values in a window are combined.",
        choices="alexnet_jax.net.operations:POOLS",
        before=None,
    )
    window: int = field(3, "Pixels a side of a window.", bound=at_least(1))
    stride: int = field(2, "Pixels from one window to the next.", bound=at_least(1))
    ceil: bool = field(
        False, "Whether a last window that overhangs the image counts (the program, Caffe)."
    )


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of a net: a product with learned weights, then what follows it, in order."""

    name: str
    kernel: int = 0  # pixels; 0: fully connected
    stride: int = 1  # pixels
    padding: int = 0  # zeros on each side, pixels
    # How the output size is rounded: up (the released program: 224 pixels give 55), or down (Caffe,
    # PyTorch: 54).
    ceil: bool = True
    # What the product of a column reads. image: the image; column: the output of the same column;
    # both: the outputs of all columns; sum: as column, but the columns' products are added up.
    reads: str = "column"
    then: tuple[str, ...] = ()  # of activation, norm, spatial_norm, pool, dropout
    pool: Pool | None = None  # in place of the net's; config.model.pool changes it too
    identity: bool = False  # left out by drop_layers: it has no product, only `then`

    @property
    def label(self) -> str:
        """The end of the names of the layer's activations: 5 in relu5, _conv6 in relu_conv6."""
        return f"_{self.name}" if self.name in ("conv6", "bottleneck") else self.name[-1]


@dataclasses.dataclass(frozen=True)
class PerLayer:
    """One number for each layer that some net has."""

    conv1: float = field(0.0)
    conv2: float = field(0.0)
    conv3: float = field(0.0)
    conv4: float = field(0.0)
    conv5: float = field(0.0)
    conv6: float = field(0.0)
    fc6: float = field(0.0)
    fc7: float = field(0.0)
    bottleneck: float = field(0.0)
    fc8: float = field(0.0)


@dataclasses.dataclass(frozen=True)
class LRN:
    """Local response normalization over neighbouring channels (paper 3.3)."""

    enabled: bool = field(True, "Off: the operation is left out.")
    n: int = field(5, "Channels in the window.", bound=_odd("channels"), effect=_LRN)
    k: float = field(2.0, "paper 3.3.", bound=at_least(0), effect=_LRN)
    alpha: float = field(1e-4, "paper 3.3.", bound=at_least(0), effect=_LRN)
    beta: float = field(0.75, "paper 3.3.", effect=_LRN)
    alpha_over_n: bool = field(
        False, "Divide alpha by n (the program, Caffe, PyTorch; layer.py:1183)."
    )
    scope: str = field(
        "column",
        "column: a window stays within its column; layer: it runs across the columns (Caffe).",
        choices=("column", "layer"),
        effect=_LRN,
    )


@dataclasses.dataclass(frozen=True)
class SpatialNorm:
    """The released program's second normalization: over n x n pixels of one channel."""

    enabled: bool = field(True, "Off: the operation is left out.")
    n: int = field(5, "Pixels a side of the window.", bound=_odd("pixels"), effect=_SPATIAL_NORM)
    k: float = field(1.0, "layers-145.cfg.", bound=at_least(0), effect=_SPATIAL_NORM)
    alpha: float = field(1e-3, "It is divided by n * n.", bound=at_least(0), effect=_SPATIAL_NORM)
    beta: float = field(0.75, "layers-145.cfg.", effect=_SPATIAL_NORM)


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Dropout (paper 4.2): a mask in training, times 1 - rate at test."""

    rate: float = field(0.5, "paper 4.2.", bound=Bound(lambda value: 0 <= value < 1, "in [0, 1)"))
    inverted: bool = field(False, "Divide by 1 - rate in training instead (Caffe, PyTorch).")


@dataclasses.dataclass(frozen=True)
class Init:
    """Initial values (paper 5)."""

    form: str = field(
        "normal",
        "normal: weights ~ N(0, std^2), biases constant (paper 5); fan_in: PyTorch's default, both "
        "uniform within 1 / sqrt(inputs of a unit).",
        choices=("normal", "fan_in"),
    )
    scale_with_width: bool = field(
        True,
        "Whether deviations that are not set follow the width: times the square root of the inputs "
        "at width 1 over those at this width, so that the signal keeps its size. Ours: the paper "
        "has one width.",
        effect=_NORMAL,
        resume=True,  # only the first start looks at it
        before=False,
    )
    std: PerLayer = field(
        PerLayer(*[0.01] * 10),
        "Standard deviation of the layer's weights. One that is set is drawn as it is, at any "
        "width.",
        effect=_NORMAL,
    )
    bias: PerLayer = field(
        PerLayer(conv2=1.0, conv4=1.0, conv5=1.0, conv6=1.0, fc6=1.0, fc7=1.0),
        "The layer's biases.",
        effect=_NORMAL,
    )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A net: a row of the table of architectures, changed by the fields that config.model sets.

    Fields that config.model does not set keep the row's values. It cannot set `source`, `layers`
    and `widths`.
    """

    source: str
    layers: tuple[Layer, ...]
    widths: Mapping[int, Mapping[str, int]]  # columns -> layer -> channels or neurons per column
    name: str = field(
        "paper",
        "The row of alexnet_jax/net/variants.py.",
        choices="alexnet_jax.net.variants:ARCHITECTURES",
        name="arch",
    )
    columns: int = field(2, "Columns: the paper's two GPUs.", choices=(1, 2))
    cross_columns: bool = field(
        True, "Off: the columns meet only in the sum of fc8.", effect={"model.columns": (2,)}
    )
    drop_layers: Any = field(
        (), "Layers to leave out, as a tuple or with commas between; never conv1, fc8 (paper 7)."
    )
    width: float = field(
        1.0,
        "Factor on the number of channels and neurons.",
        bound=Bound(lambda value: value > 0, "a factor above 0"),
    )
    classes: int = field(
        1000,
        "Classes; 0: as many as the dataset has.",
        bound=Bound(lambda value: value >= 2, "at least 2 (0 lets the dataset say)"),
    )
    image_size: int = field(
        224,
        "Pixels a side, at most data.size; 224 is padded by 3 at the bottom and right, 227 needs "
        "none.",
        bound=at_least(16),
    )
    activation: str = field("relu", "paper 3.1.", choices="alexnet_jax.net.operations:ACTIVATIONS")
    norm: str = field(
        "lrn",
        "The normalization in the place of the paper's LRN (3.3).",
        choices="alexnet_jax.net.operations:NORMS",
    )
    compute_dtype: str = field(
        "float32",
        "Type of the activations; parameters are float32.",
        choices=("float32", "bfloat16"),
    )
    lrn: LRN = field(LRN(), effect={"model.norm": ("lrn",)})
    spatial_norm: SpatialNorm = field(SpatialNorm())
    pool: Pool = field(Pool())
    dropout: Dropout = field(Dropout())
    init: Init = field(Init())

    def features(self, name: str) -> int:
        """Return the channels or neurons of layer `name` in one column (fc8: the classes)."""
        if name == "fc8":
            return self.classes
        return max(1, round(self.widths[self.columns][name] * self.width))

    def pool_of(self, layer: Layer) -> Pool:
        """Return the pooling that follows `layer`, if any does."""
        return layer.pool or self.pool

    def crosses(self, layer: Layer) -> bool:
        """Whether the product of `layer` reads the other column too."""
        meet = self.cross_columns and self.columns > 1
        return layer.reads == "both" and meet and not layer.identity

    def activation_name(self, layer: Layer, kind: str) -> str:
        """Return the name of the activation that an operation gives: relu1, norm1, pool1."""
        return f"{self.activation if kind == 'activation' else kind}{layer.label}"

    def output(self, layer: Layer) -> str:
        """Return the name of the last activation of `layer`: pool1, relu3, dropout6, fc8."""
        return self.activation_name(layer, layer.then[-1]) if layer.then else layer.name
