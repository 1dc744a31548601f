"""Choose the kernel and stride of conv1 in the net of small pictures, on real pictures.

    python -m experiments.sweeps.first_layer --config=experiments/sweeps/first_layer.py \
        --config.data.dir=/path/to/folder --out=runs/first_layer --seeds=2

The paper's 11x11 of stride 4 leaves 13 of a view's 56 pixels where its own view of 224 leaves 55.
This is a sweep (sweep.py describes resuming, --jobs and --where=slurm) over the kernels below, with
the recipe of experiments/miniature for a third of the epochs. Initial weights give the same signal
at any kernel. The recorded figures are of the folder that experiments/miniature lays out,
OUT/pictures/target: 50 classes of Tiny ImageNet.
"""

import dataclasses

from ml_collections import ConfigDict

from alexnet_jax.net.variants import ARCHITECTURES
from alexnet_jax.run.config import recipe
from alexnet_jax.system import command_line
from experiments.sweeps import command
from experiments.sweeps.runs import Setting

OURS = (5, 2)
# (kernel in pixels, stride): the side in pixels of the feature maps that fc6 reads.
KERNELS = {OURS: 3, (3, 2): 3, (7, 2): 3, (11, 4): 1, (5, 1): 6}


def _name(kernel: int, stride: int) -> str:
    return f"small_{kernel}x{kernel}_stride_{stride}"


def _add_nets() -> None:
    """Enter a net for each kernel."""
    small = ARCHITECTURES["small"]
    conv1, *others = small.layers
    for kernel, stride in KERNELS:
        first = dataclasses.replace(conv1, kernel=kernel, stride=stride)
        ARCHITECTURES[_name(kernel, stride)] = dataclasses.replace(
            small,
            name=_name(kernel, stride),
            source=f"{small.source}, {kernel}x{kernel} pixels of stride {stride} first",
            layers=(first, *others),
        )


def get_config() -> ConfigDict:
    """Return the recipe of the runs."""
    _add_nets()
    config = recipe("miniature")
    config.epochs = 8
    config.schedule.epochs = (5, 6, 7)
    config.model.arch = _name(*OURS)
    return config


def settings() -> list[Setting]:
    """Return the fields of each kernel's runs, ours first."""
    found = []
    std = recipe("miniature").model.init.std
    for (kernel, stride), side in KERNELS.items():
        fields = {
            "model.arch": _name(kernel, stride),
            "model.init.std.conv1": f"{std.conv1 * OURS[0] / kernel:.4g}",
            "model.init.std.fc6": f"{std.fc6 * KERNELS[OURS] / side:.4g}",
        }
        found.append(Setting(f"{kernel}x{kernel},stride={stride}", tuple(fields.items())))
    return found


def main(_) -> None:
    """Run the sweep."""
    command.end(command.sweep(settings()))


if __name__ == "__main__":
    command.define_flags()
    command_line.run(main)
