"""Every field of the config except config.model's: what it is, its default and its bounds.

The fields of config.model are in net/architecture.py. docs/config.md is made from both
(`python -m alexnet_jax.run.config_page`). "paper 4.1" is a section of the paper (Krizhevsky,
Sutskever, Hinton, NIPS 2012); "layers-145.cfg" and "convdata_jpeg.py" are files of the released
2012 program. The defaults are the paper's.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.variants import ARCHITECTURES
from alexnet_jax.schema import Bound, Field, at_least, check, field, fields, is_number

_SHARE = Bound(lambda value: 0 < value < 1, "above 0 and below 1")
_FRACTION = Bound(lambda value: 0 <= value <= 1, "from 0 to 1")


def _three(holds=lambda value: True, words: str = "three numbers") -> Bound:
    def all_hold(values) -> bool:
        return len(values) == 3 and all(is_number(value) and holds(value) for value in values)

    return Bound(all_hold, words)


_COLOUR = {"data.colour": (True,)}
_PLATEAU = {"schedule.kind": ("plateau",)}
_DEXP = {"schedule.kind": ("dexp",)}


@dataclasses.dataclass(frozen=True)
class Data:
    """The images: where they are, how they are prepared, what the net is shown of them."""

    builder: str = field(
        "ilsvrc",
        "What the images are: ILSVRC, class folders, rendered shapes (no download), CIFAR-10 (32 "
        "pixels a side), or Tiny ImageNet (64).",
        choices=("ilsvrc", "image_folder", "shapes", "cifar10", "tiny_imagenet"),
    )
    release: str = field(
        "2012", "Which ILSVRC, with builder=ilsvrc.", choices=("2012", "2010", "fall2011")
    )
    dir: str = field(
        "",
        "Folder of the archives as they are downloaded, or of train/<class>/<file> and "
        "val/<class>/<file>.",
        effect={"data.builder": ("ilsvrc", "image_folder", "cifar10", "tiny_imagenet")},
        resume=True,
        per_process=True,
    )
    prepared_dir: str = field(
        "",
        "Folder of the prepared copy; empty: ~/tensorflow_datasets.",
        resume=True,
        per_process=True,
    )
    size: int = field(
        256,
        "Pixels a side of the stored square (paper 2).",
        bound=Bound(lambda value: 32 <= value <= 512, "32 to 512 pixels"),
        before=256,
    )
    storage: str = field(
        "jpeg",
        "Form of the copy: jpeg of quality 95, or raw uint8, 3 size^2 bytes an image.",
        choices=("jpeg", "raw"),
    )
    resize: str = field(
        "aspect",
        "How a picture becomes a square. aspect: the shorter side to size, then the central square "
        "(paper 2); warp: each side to size (Caffe).",
        choices=("aspect", "warp"),
    )
    resize_filter: str = field(
        "area",
        "The filter. Which published results had which: alexnet_jax/data/decode/resize.py.",
        choices=("area", "bilinear", "lanczos", "opencv_area", "opencv_linear"),
    )
    validation_fraction: float = field(
        0.1,
        "Share of the training images that is held out where there is no validation split.",
        bound=_FRACTION,
    )
    held_out: str = field(
        "class",
        "What validation_fraction is a share of. class: of each class, with at least one image of "
        "each that has two; all: of all images together. A run goes on as it began.",
        choices=("class", "all"),
        resume=True,
        before="all",
    )
    max_bad_fraction: float = field(
        0.0,
        "Unreadable files up to this share are skipped and listed.",
        bound=_FRACTION,
    )
    workers: int = field(
        0,
        "Threads that read and decode; 0: one for each core, at most 16 except in preparation.",
        bound=at_least(0),
        resume=True,
        per_process=True,
    )
    resident: str = field(
        "auto",
        "Whether all training images live in the memory of each device, and are not read anew in "
        "each epoch. auto: where they take less than a quarter of it, or less than 1 GB on a CPU.",
        choices=("auto", "on", "off"),
        resume=True,
        before="off",
    )
    mean: str = field(
        "image",
        "What is subtracted from pixels. image: the mean image, at the pixel's own position (paper "
        "2); centre: the mean image's central window from every view, wherever it was cut "
        "(convdata_jpeg.py:95); channel: the mean of the channel; values: mean_values; file: "
        "mean_file, as image; centre_file: mean_file, as centre; none: nothing.",
        choices=("image", "centre", "channel", "values", "file", "centre_file", "none"),
    )
    mean_values: tuple = field(
        (0.0, 0.0, 0.0), "R, G, B, 0-255.", bound=_three(), effect={"data.mean": ("values",)}
    )
    mean_file: str = field(
        "",
        "An .npy file of (size, size, 3), RGB 0-255, such as Caffe's mean image.",
        effect={"data.mean": ("file", "centre_file")},
        per_process=True,
    )
    divide_by: tuple = field(
        (1.0, 1.0, 1.0),
        "What pixels are divided by after the mean is subtracted: R, G, B; paper 2: no scaling.",
        bound=_three(lambda value: value > 0, "three numbers above 0"),
    )
    crop: bool = field(
        True,
        "paper 4.1: a random square of image_size pixels a side, cut from the stored one; off: the "
        "central one.",
    )
    crop_form: str = field(
        "window",
        "window: the square as it is (paper 4.1); resized: a rectangle of 8 % to 100 % of the "
        "area, scaled to image_size (torchvision's RandomResizedCrop).",
        choices=("window", "resized"),
        effect={"data.crop": (True,)},
    )
    flip: bool = field(True, "paper 4.1: mirrored with probability 1/2.")
    crop_chunk: int = field(
        1,
        "How many neighbours in the batch share crop and mirror; 32 in the program "
        "(convdata_jpeg.py:77).",
        bound=at_least(1),
    )
    colour: bool = field(True, "paper 4.1: PCA colour noise, one draw for each image.")
    colour_std: float = field(
        0.1, "paper 4.1: alpha ~ N(0, 0.1).", bound=at_least(0), effect=_COLOUR
    )
    colour_unit: str = field(
        "eigenvalue",
        "eigenvalue: alpha times the eigenvalues of the RGB covariance, pixels in [0, 1] (the "
        "paper's text); deviation: alpha times their square roots (convdata_jpeg.py:65).",
        choices=("eigenvalue", "deviation"),
        effect=_COLOUR,
    )
    colour_rescale: bool = field(
        False,
        "Whether to divide by 1 + colour_std while there is noise (convdata_jpeg.py:179); the "
        "paper's text does not.",
        effect=_COLOUR,
    )
    colour_until: int = field(
        0,
        "No colour noise after this many epochs; 0: it never ends.",
        bound=at_least(0),
        effect=_COLOUR,
    )


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """The update (paper 5)."""

    learning_rate: float = field(0.01, "paper 5; equal for all layers.", bound=at_least(0))
    bias_learning_rate: float = field(
        0.0,
        "The learning rate of biases and norms; 0: the same as for weights (paper 5). The program: "
        "0.02 (layers-145.cfg).",
        bound=at_least(0),
    )
    bias_drops: bool = field(
        True,
        "Whether the biases' learning rate follows the schedule and the layers' factors; in the "
        "program it never changed.",
    )
    momentum: float = field(
        0.9, "paper 5.", bound=Bound(lambda value: 0 <= value < 1, "at least 0 and below 1")
    )
    weight_decay: float = field(0.0005, "paper 5.", bound=at_least(0))
    layer_weight_decay: tuple = field(
        (),
        "Rows of (layer, weight decay): the layers that have another than weight_decay. The "
        "paper: equal for all layers.",
        before=(),
    )
    decay_biases: bool = field(
        False, "Whether biases and norms decay too; layers-145.cfg: never; PyTorch: always."
    )
    decay_form: str = field(
        "velocity",
        "velocity: the decay enters the velocity (paper 5); decoupled: it acts on the weights "
        "(SGDW).",
        choices=("velocity", "decoupled"),
    )
    rate_form: str = field(
        "inside",
        "inside: the learning rate scales what enters the velocity (paper 5); outside: it scales "
        "the velocity when that is added to the weights (PyTorch's SGD).",
        choices=("inside", "outside"),
    )


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How the learning rate falls."""

    kind: str = field(
        "plateau",
        "When it falls. plateau: after validations without improvement (paper 5); epochs: after "
        "given epochs; dexp: in dexp_steps equal stretches (the program's net 170).",
        choices=("plateau", "epochs", "dexp"),
    )
    factor: float = field(
        0.1,
        'What a drop multiplies the learning rate by. paper 5: "divide the learning rate by 10".',
        bound=_SHARE,
        effect={"schedule.kind": ("plateau", "epochs")},
    )
    drops: int = field(
        3,
        'How many drops at most. paper 5: "reduced three times prior to termination".',
        bound=at_least(0),
        effect=_PLATEAU,
    )
    patience: int = field(
        5,
        "A drop comes after this many validations in a row without improvement. Ours: the authors "
        "watched the validation error by eye.",
        bound=at_least(1),
        effect=_PLATEAU,
    )
    min_improvement: float = field(
        0.005, "The least relative improvement that counts. Ours.", bound=_SHARE, effect=_PLATEAU
    )
    epochs: tuple = field(
        (25, 51, 79),
        "Drops come after these epochs (layer-params-145.cfg).",
        bound=Bound(
            lambda values: all(type(value) is int and value >= 0 for value in values),
            "whole numbers, as in (60, 80)",
        ),
        effect={"schedule.kind": ("epochs",)},
    )
    layers: tuple = field(
        (),
        "Rows of (layer, epoch, factor): from this epoch on, the layer's rate is multiplied by "
        "this factor, which replaces that of an earlier row; 0 freezes the layer. The paper: equal "
        "rates for all layers.",
    )
    dexp_factor: float = field(
        250.0,
        "First learning rate over the last (net 170).",
        bound=Bound(lambda value: value > 0, "above 0"),
        effect=_DEXP,
    )
    dexp_steps: int = field(
        4,
        "Equal stretches of the run, each with one learning rate.",
        bound=at_least(1),
        effect=_DEXP,
    )


@dataclasses.dataclass(frozen=True)
class Mesh:
    """The devices."""

    data: int = field(
        -1,
        "How many devices the batch is split over; -1: all devices, divided by mesh.group.",
        bound=Bound(lambda value: value == -1 or value >= 1, "-1 or at least 1"),
    )
    group: Any = field(
        "auto",
        "How many devices the columns are split over: 1, 2 (the paper's two GPUs), or auto: 2 if "
        "the net has two columns and the number of devices is even, else 1.",
        bound=Bound(lambda value: str(value) in ("1", "2", "auto"), "1, 2 or auto"),
    )
    cpu_devices: int = field(1, "Virtual devices that a CPU is split into.", bound=at_least(1))


@dataclasses.dataclass(frozen=True)
class Distributed:
    """A run of several processes."""

    timeout_seconds: int = field(
        60, "A process that is silent for this long is given up.", bound=at_least(5)
    )


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The saved states from which a run can continue."""

    dir: str = field(
        "",
        "Their folder; empty: checkpoints/ in --workdir. Several machines must share it.",
        per_process=True,
    )
    every_steps: int = field(
        2000,
        "Updates between two checkpoints, besides those after each validation; 0: only those.",
        bound=at_least(0),
    )
    every_minutes: float = field(
        15.0,
        "Minutes without a checkpoint after which one follows the next line of the log; 0: off.",
        bound=at_least(0),
        before=0.0,
    )


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The validations of a run."""

    views: int = field(
        1,
        "Views of each image: 1 (the centre), 5 (the corners too) or 10 (paper 4.1).",
        choices=(1, 5, 10),
    )
    every_epochs: int = field(1, "Epochs between two validations.", bound=at_least(1))
    batch_size: int = field(
        256, "Images evaluated at a time, on all devices together.", bound=at_least(1), resume=True
    )


@dataclasses.dataclass(frozen=True)
class Log:
    """The log of a run: metrics.jsonl, lines on the terminal, TensorBoard."""

    every_steps: int = field(
        100, "Updates between two lines of training metrics.", bound=at_least(1)
    )
    plateau_steps: int = field(
        2000,
        "Warn when the loss has stayed at ln(classes) for this many updates.",
        bound=at_least(1),
        resume=True,
    )
    tensorboard: bool = field(True, "Whether to write events for TensorBoard.", resume=True)


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole run."""

    seed: int = field(
        0,
        "Decides the initial values, the order of the images, crops, colours and dropout.",
        # jax.random.key ignores higher bits.
        bound=Bound(lambda value: 0 <= value < 2**32, "a whole number from 0 to 2**32 - 1"),
    )
    epochs: int = field(
        90,
        'Passes over the training images. paper 5: "roughly 90 cycles".',
        bound=at_least(1),
        resume={"schedule.kind": ("plateau", "epochs")},  # dexp stretches over the run
    )
    batch_size: int = field(
        128, "Images of an update, on all devices together (paper 5).", bound=at_least(1)
    )
    init_from: str = field(
        "",
        "Folder of another run, or a file of weights: the run begins with its parameters (paper 6: "
        "pretraining). A run that is continued ignores it.",
        resume=True,
        per_process=True,
    )
    init_layers: tuple = field(
        (), "The layers to take from init_from; empty: all of them.", resume=True
    )
    data: Data = field(Data())
    model: Architecture = field(ARCHITECTURES["paper"])
    optimizer: Optimizer = field(Optimizer())
    schedule: Schedule = field(Schedule())
    mesh: Mesh = field(Mesh(), resume=True)
    distributed: Distributed = field(Distributed(), resume=True)
    checkpoint: Checkpoint = field(Checkpoint(), resume=True)
    evaluate: Evaluate = field(Evaluate())
    log: Log = field(Log())


def all_fields() -> dict[str, Field]:
    """Return all fields of the config by their dotted names, with the paper's values."""
    return {described.path: described for described in fields(Config())}


def choices(section: Any, name: str) -> tuple:
    """Return the values that a field of a section, such as Data(), may have."""
    (found,) = [described.choices for described in fields(section) if described.path == name]
    assert found is not None, name
    return found


def check_section(section: Any, values: ConfigDict, name: str) -> None:
    """Refuse values that a section of the config, or a part of it, cannot have.

    Args:
      section: an instance of its dataclass, such as Data().
      values: the section of a config.
      name: its name in the config.

    Raises:
      ConfigError: the field, what it takes, and what it got.
    """
    for described in fields(section, f"{name}."):
        field_name = described.path.removeprefix(f"{name}.")
        if field_name in values:
            check(described, values[field_name])
