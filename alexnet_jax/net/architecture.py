"""What a net is made of. A arch is data: the model reads it and decides nothing itself."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Layer:
    """One row of a net: a product with learned weights, then what follows it, in order."""

    name: str
    kernel: int = 0  # pixels; 0: fully connected
    stride: int = 1  # pixels
    padding: int = 0  # zeros on each side, pixels
    # Whether a last window that overhangs counts (the released program: 224 pixels give 55) or
    # not (Caffe, PyTorch).
    ceil: bool = True
    # image; own: this column; both: all columns; sum: own, then added over columns
    reads: str = "own"
    then: tuple[str, ...] = ()  # of activation, norm, spatial_norm, pool, dropout
    identity: bool = False  # dropped by drop_layers: only `then` is left

    @property
    def label(self) -> str:
        """What the layer's activations are numbered by: relu5, pool5, but relu_conv6, relu6."""
        return f"_{self.name}" if self.name in ("conv6", "bottleneck") else self.name[-1]


@dataclasses.dataclass(frozen=True)
class PerLayer:
    """One number for each layer that some net has."""

    conv1: float = 0.0
    conv2: float = 0.0
    conv3: float = 0.0
    conv4: float = 0.0
    conv5: float = 0.0
    conv6: float = 0.0
    fc6: float = 0.0
    fc7: float = 0.0
    bottleneck: float = 0.0
    fc8: float = 0.0


@dataclasses.dataclass(frozen=True)
class LRN:
    """Local response normalization over neighbouring maps (paper 3.3)."""

    enabled: bool = True
    n: int = 5  # maps in the window; odd
    k: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75
    alpha_over_n: bool = False  # divide alpha by n (the program, Caffe, PyTorch)
    scope: str = "column"  # column: windows stay in a column; layer: they cross (Caffe's one net)


@dataclasses.dataclass(frozen=True)
class SpatialNorm:
    """The released program's second normalization: over n x n places of the same map."""

    enabled: bool = True
    n: int = 5  # pixels a side of the window; odd
    k: float = 1.0
    alpha: float = 1e-3  # divided by n * n
    beta: float = 0.75


@dataclasses.dataclass(frozen=True)
class Pool:
    """Max pooling (paper 3.4): overlapping where window > stride. Both in pixels."""

    window: int = 3
    stride: int = 2
    ceil: bool = False  # whether a last window that overhangs counts (the program, Caffe)


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Dropout (paper 4.2): mask in training, times 1 - rate at test."""

    rate: float = 0.5
    inverted: bool = False  # divide by 1 - rate in training instead (Caffe, PyTorch)


@dataclasses.dataclass(frozen=True)
class Init:
    """Initial values (paper 5): weights ~ N(0, std^2), biases constant.

    form "fan_in" is PyTorch's own: both uniform within 1 / sqrt(inputs of a unit); std and bias
    then say nothing.
    """

    form: str = "normal"
    std: PerLayer = PerLayer(*[0.01] * 10)
    bias: PerLayer = PerLayer(conv2=1.0, conv4=1.0, conv5=1.0, conv6=1.0, fc6=1.0, fc7=1.0)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A net, complete. `layers`, `widths` and `source` are the table's; the rest can be set."""

    source: str
    layers: tuple[Layer, ...]
    widths: Mapping[int, Mapping[str, int]]  # columns -> layer -> maps or neurons per column
    name: str = "paper"  # the row's name
    columns: int = 2
    cross_columns: bool = True  # False: columns meet only in the sum of fc8
    drop_layers: Any = ()  # names, as a tuple or with commas between; not conv1, not fc8
    width: float = 1.0  # factor on maps and neurons
    classes: int = 1000
    image_size: int = 224  # pixels; 224 is padded by 3 at the bottom and right, 227 needs none
    activation: str = "relu"
    norm: str = "lrn"
    lrn: LRN = LRN()
    spatial_norm: SpatialNorm = SpatialNorm()
    pool: Pool = Pool()
    dropout: Dropout = Dropout()
    init: Init = Init()
    compute_dtype: str = "float32"

    def features(self, name: str) -> int:
        """Return the maps or neurons of layer `name` in one column (fc8: the classes)."""
        if name == "fc8":
            return self.classes
        return max(1, round(self.widths[self.columns][name] * self.width))

    def output(self, layer: Layer) -> str:
        """Return the name of the last activation of `layer`: pool1, relu3, dropout6, fc8."""
        if not layer.then:
            return layer.name
        last = self.activation if layer.then[-1] == "activation" else layer.then[-1]
        return f"{last}{layer.label}"
