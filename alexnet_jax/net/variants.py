"""The AlexNets that others have published, one row each. A row says what differs from the paper.

"layers-145.cfg" and its like are files of the released 2012 program.
"""

import dataclasses

from alexnet_jax.net.architecture import (
    LRN,
    Architecture,
    Dropout,
    Init,
    Layer,
    PerLayer,
    Pool,
    SpatialNorm,
)

_NAMES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


def _widths(*numbers: int) -> dict[str, int]:
    return dict(zip(_NAMES, numbers, strict=True))


def _edited(layers: tuple[Layer, ...], **changes: dict) -> tuple[Layer, ...]:
    """Return the layers with some fields of some of them changed."""
    return tuple(dataclasses.replace(layer, **changes.get(layer.name, {})) for layer in layers)


def _inserted(layers: tuple[Layer, ...], before: str, *new: Layer) -> tuple[Layer, ...]:
    index = next(i for i, layer in enumerate(layers) if layer.name == before)
    return (*layers[:index], *new, *layers[index:])


_THEN_NORM_POOL = ("activation", "norm", "pool")  # paper 3.5

PAPER = Architecture(
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
        2: _widths(48, 128, 192, 192, 128, 2048, 2048),
        1: _widths(48, 128, 192, 192, 256, 4096, 4096),
    },
)

CODE2012 = dataclasses.replace(
    PAPER,
    source="layers-145.cfg, layer-params-145.cfg: the program's net that gave the paper's numbers",
    layers=_edited(
        PAPER.layers,
        conv1={"then": ("norm", "pool", "activation")},  # neuron=relu sits on the pool
        conv2={"then": ("activation", "norm", "spatial_norm", "pool")},  # cnorm2
        conv5={"then": ("pool", "activation")},
    ),
    lrn=LRN(alpha_over_n=True),  # layer.py:1183: scale /= size
    pool=Pool(ceil=True),  # layer.py:1164
    init=Init(std=dataclasses.replace(Init().std, conv3=0.03, conv4=0.03, conv5=0.03, conv6=0.03)),
)

_SIX_CONV = _inserted(
    CODE2012.layers, "fc6", Layer("conv6", 3, padding=1, reads="both", then=("activation",))
)
_SIX_WIDTHS = {2: {**CODE2012.widths[2], "conv6": 128, "bottleneck": 1024}}

CAFFE = dataclasses.replace(
    PAPER,
    source="Caffe, models/bvlc_alexnet/train_val.prototxt; its two groups are our columns",
    layers=_edited(PAPER.layers, **{name: {"ceil": False} for name in _NAMES}),
    widths={2: PAPER.widths[2]},
    image_size=227,
    lrn=LRN(k=1.0, alpha_over_n=True, scope="layer"),
    pool=Pool(ceil=True),
    dropout=Dropout(inverted=True),
    init=Init(
        std=dataclasses.replace(Init().std, fc6=0.005, fc7=0.005),
        bias=PerLayer(conv2=0.1, conv4=0.1, conv5=0.1, fc6=0.1, fc7=0.1),
    ),
)

_THEN_POOL = ("activation", "pool")
OWT = Architecture(
    source="torchvision.models.alexnet: Krizhevsky's one-column net of 2014, without its norms",
    layers=(
        Layer("conv1", 11, stride=4, padding=2, ceil=False, reads="image", then=_THEN_POOL),
        Layer("conv2", 5, padding=2, ceil=False, then=_THEN_POOL),
        Layer("conv3", 3, padding=1, ceil=False, then=("activation",)),
        Layer("conv4", 3, padding=1, ceil=False, then=("activation",)),
        Layer("conv5", 3, padding=1, ceil=False, then=("activation", "pool", "dropout")),
        Layer("fc6", then=("activation", "dropout")),
        Layer("fc7", then=("activation",)),
        Layer("fc8", reads="sum"),
    ),
    widths={1: _widths(64, 192, 384, 256, 256, 4096, 4096)},
    columns=1,
    dropout=Dropout(inverted=True),
    init=Init(form="fan_in"),
)

# The paper's net for a quarter of its pixels a side: conv1 gives 27, as the paper's pool1 does; the
# paper's 13 and 6 follow, and the last pooling leaves 3. Sizes are rounded up, as in the released
# program. First kernels of 3 and 7 pixels learn as well, one of 11 with stride 4 learns less
# (experiments/sweeps/first_layer.py).
SMALL = dataclasses.replace(
    PAPER,
    source="ours: the paper's net for pictures of 64 pixels, views of 56",
    layers=_edited(PAPER.layers, conv1={"kernel": 5, "stride": 2}),
    image_size=56,
    pool=Pool(ceil=True),
)

# cuda-convnet's nets for CIFAR-10, in example-layers. The program calls the last layers fc64 and
# fc10. Where it pools before the activation, so does this table.
_AVG = Pool("avg", ceil=True)
_CIFAR18 = (
    Layer("conv1", 5, padding=2, reads="image", then=("pool", "activation", "spatial_norm")),
    Layer("conv2", 5, padding=2, then=("activation", "pool", "spatial_norm"), pool=_AVG),
    Layer("conv3", 5, padding=2, then=_THEN_POOL, pool=_AVG),
    Layer("fc8", reads="sum"),
)
CIFAR18 = Architecture(
    source="layers-18pct.cfg: 18 % on CIFAR-10, with normalization over pixels",
    layers=_CIFAR18,
    widths={1: {"conv1": 32, "conv2": 32, "conv3": 64, "fc7": 64}},
    columns=1,
    classes=10,
    image_size=32,
    pool=Pool(ceil=True),
    spatial_norm=SpatialNorm(n=3, alpha=5e-5),
    init=Init(std=PerLayer(conv1=1e-4, conv2=0.01, conv3=0.01, fc8=0.01), bias=PerLayer()),
)
_CIFAR_NO_NORM = _edited(
    _CIFAR18, conv1={"then": ("pool", "activation")}, conv2={"then": _THEN_POOL}
)

_ROWS = {
    "paper": PAPER,
    "code2012": CODE2012,
    "half": dataclasses.replace(
        CODE2012, source="layers-145-half.cfg: the control for one GPU", columns=1
    ),
    "no_norm": dataclasses.replace(
        CODE2012,
        source="layers-148.cfg: no normalization of either kind",
        layers=_edited(
            CODE2012.layers, conv1={"then": ("pool", "activation")}, conv2={"then": _THEN_POOL}
        ),
    ),
    # A window of 2 keeps 28 pixels where 3 leaves 27; the paddings bring that back to 13 and 6.
    "nonoverlapping": dataclasses.replace(
        CODE2012,
        source="layers-147.cfg: pooling without overlap",
        layers=_edited(CODE2012.layers, conv2={"padding": 1}, conv5={"padding": 0}),
        pool=Pool(window=2, ceil=True),
    ),
    # Wider where a column no longer reads the other, to keep the number of parameters.
    "no_communication": dataclasses.replace(
        CODE2012,
        source="layers-150.cfg: the columns meet only in the classes",
        widths={2: _widths(48, 160, 192, 192, 128, 4096, 2048)},
        cross_columns=False,
    ),
    "six_conv": dataclasses.replace(
        CODE2012,
        source="layers-146-2012-2011.cfg: a sixth convolution over the last pool (paper 6)",
        layers=_SIX_CONV,
        widths=_SIX_WIDTHS,
    ),
    "six_conv_fall2011": dataclasses.replace(
        CODE2012,
        source="layers-146-2011.cfg: its pretraining, classes behind a linear bottleneck",
        layers=_inserted(_SIX_CONV, "fc8", Layer("bottleneck", reads="both")),
        widths=_SIX_WIDTHS,
        classes=21843,
    ),
    "caffe": CAFFE,
    "caffenet": dataclasses.replace(
        CAFFE,
        source="Caffe, models/bvlc_reference_caffenet/train_val.prototxt: pools before norms",
        layers=_edited(
            CAFFE.layers,
            conv1={"then": ("activation", "pool", "norm")},
            conv2={"then": ("activation", "pool", "norm")},
        ),
        init=dataclasses.replace(CAFFE.init, bias=PAPER.init.bias),
    ),
    "owt": OWT,
    "small": SMALL,
    "cifar18": CIFAR18,
    "cifar26": dataclasses.replace(
        CIFAR18,
        source="layers-80sec.cfg: 26 % on CIFAR-10 in 80 seconds, without normalization",
        layers=_inserted(_CIFAR_NO_NORM, "fc8", Layer("fc7", then=("activation",))),
        init=Init(std=dataclasses.replace(CIFAR18.init.std, fc7=0.1, fc8=0.1), bias=PerLayer()),
    ),
    "cifar_figure1": dataclasses.replace(
        CIFAR18,
        source="layers-18pct.cfg without normalization: the four layers of figure 1 (paper 3.1)",
        layers=_CIFAR_NO_NORM,
    ),
}

ARCHITECTURES = {name: dataclasses.replace(row, name=name) for name, row in _ROWS.items()}
