"""The time of a training step on many devices, from one device's step and what crosses: a model.

    python -m experiments.communication.scaling [--dtype=bfloat16] [--step=128:3.3,1024:24.0]
    python -m experiments.communication.scaling --check

A step is one device's part of the work, then what crosses between columns, then the reduction of
gradients; nothing overlaps. The work is a + b x (images of a device), through the two steps given
in milliseconds (default: experiments.bench.gpu.predicted, an H100), halved where the columns are on
two devices. Columns receive what `communication` counts; gradients are reduced by rings, first
inside a machine, then between machines, where each device sends its share of them. Links have the
data sheet's rate in one direction, and a latency that we assume; each device has one of its own.

--check measures a small net in two and four processes of this machine beside the model
(scaling_check.py).
"""

import dataclasses
import json
import math
import pathlib

from absl import flags
from rich.table import Table

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import command_line
from alexnet_jax.system.terminal import show

RECORD = pathlib.Path(__file__).parents[1] / "records" / "gpu_predicted.json"
PARAMETERS = 60_965_224
# Bytes that a device receives for an image of its part of the batch, and transfers in a step.
CROSSING = {"float32": 230_304, "bfloat16": 117_152}
TRANSFERS = 7
GRADIENT_BYTES = 4 * PARAMETERS  # float32 in either dtype
IMAGES_90_EPOCHS = 90 * 1_281_167
IN_MACHINE = 8
ENOUGH = 0.8  # of the ideal rate
DEVICES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclasses.dataclass(frozen=True)
class Link:
    """A way between devices: bytes a second that one receives, and seconds of one exchange."""

    rate: float
    latency: float


LINKS = {
    "NVLink (H100)": Link(450e9, 10e-6),
    "PCIe 5 x16": Link(63e9, 20e-6),
    "PCIe 4 x16": Link(31.5e9, 20e-6),
    "InfiniBand 400 Gb/s": Link(50e9, 20e-6),
    "Ethernet 25 Gb/s": Link(3.125e9, 50e-6),
}


@dataclasses.dataclass(frozen=True)
class Work:
    """Seconds of a step on one device: fixed + images x per_image."""

    fixed: float
    per_image: float

    def seconds(self, images: float) -> float:
        """Return the seconds of a step of `images` with both columns."""
        return self.fixed + images * self.per_image


def work_of(steps: dict[int, float]) -> Work:
    """Return the line through two steps, {images: seconds}."""
    (few, short), (many, long) = sorted(steps.items())
    per_image = (long - short) / (many - few)
    return Work(short - few * per_image, per_image)


def reduction(size: float, devices: int, link: Link) -> float:
    """Return the seconds of a ring's sum of `size` bytes over `devices`."""
    return 2 * (devices - 1) * (size / devices / link.rate + link.latency)


def gradients(
    data: int, group: int, inside: Link, between: Link, in_machine: int = IN_MACHINE
) -> float:
    """Return the seconds of summing the gradients of a column, or of both, over the batch's parts.

    Between machines each device sums its share of what its machine has; a tree takes log2 steps.
    """
    size = GRADIENT_BYTES / group
    here = min(data, in_machine // group)
    machines = math.ceil(data / here)
    seconds = reduction(size, here, inside)
    if machines > 1:
        seconds += 2 * (machines - 1) / machines * size / here / between.rate
        seconds += 2 * math.ceil(math.log2(machines)) * between.latency
    return seconds


def columns(images: float, dtype: str, link: Link) -> float:
    """Return the seconds of what crosses between the columns of `images`."""
    return images * CROSSING[dtype] / link.rate + TRANSFERS * link.latency


def step(
    work: Work, batch: int, data: int, group: int, dtype: str, inside: Link, between: Link
) -> float:
    """Return the seconds of a step of `batch` images on data x group devices."""
    images = batch / data
    seconds = work.seconds(images) / group + gradients(data, group, inside, between)
    return seconds + (columns(images, dtype, inside) if group == 2 else 0.0)


def steps_of(text: str | None, dtype: str) -> dict[int, float]:
    """Return {images: seconds} of the flag, or of the record of predicted steps."""
    if text is None:
        programs = json.loads(RECORD.read_text())["programs"]
        return {p["batch"]: p["H100"]["step_ms"] / 1e3 for p in programs if p["dtype"] == dtype}
    try:
        pairs = [part.split(":") for part in text.split(",")]
        steps = {int(batch): float(ms) / 1e3 for batch, ms in pairs}
    except ValueError:
        steps = {}
    if len(steps) != 2:
        raise ConfigError(f"--step is two steps, images:ms,images:ms; got {text}")
    return steps


def two_devices(work: Work, dtype: str) -> Table:
    """Return how much faster two devices are than one, as columns and as parts of the batch."""
    batches = (128, 256, 512, 1024, 2048)
    title = f"two devices, {dtype}: times as fast as one, columns / halves of the batch"
    shown = Table("link", *map(str, batches), title=title, title_justify="left")
    for name, link in LINKS.items():
        cells = []
        for batch in batches:
            gains = (
                work.seconds(batch) / step(work, batch, data, group, dtype, link, link)
                for data, group in ((1, 2), (2, 1))
            )
            cells.append(" / ".join(f"{gain:.2f}" for gain in gains))
        shown.add_row(name, *cells)
    return shown


def best_mesh(
    work: Work, batch: int, devices: int, dtype: str, inside: Link, between: Link
) -> tuple[float, int, int]:
    """Return the images/s of the faster mesh, and its data and group; 0 if no mesh fits."""
    return max(
        (
            batch / step(work, batch, devices // group, group, dtype, inside, between),
            devices // group,
            group,
        )
        if devices % group == 0 and batch >= devices // group
        else (0.0, 0, 0)
        for group in (1, 2)
    )


def many_devices(work: Work, dtype: str, inside: str, between: str) -> Table:
    """Return the best mesh of each number of devices for the batch of 128, for 128 on each device,
    and for as many on each as make the devices ENOUGH of the ideal.
    """
    where = (dtype, LINKS[inside], LINKS[between])
    title = f"machines of {IN_MACHINE} by {inside}, {between} between them, {dtype}"
    names = (
        "devices",
        "batch",
        "data x group",
        "images/s",
        "of ideal",
        "90 epochs, minutes",
        "steps",
    )
    shown = Table(*names, title=title, title_justify="left")
    ideal = 1 / work.per_image  # images/s of a device whose batch has no end
    for devices in DEVICES:
        local = (128 * 2**k for k in range(12))
        rates = ((n * devices, best_mesh(work, n * devices, devices, *where)[0]) for n in local)
        enough = next((n for n, rate in rates if rate >= ENOUGH * devices * ideal), 128)
        for batch in sorted({128, 128 * devices, enough}):
            rate, data, group = best_mesh(work, batch, devices, *where)
            if not rate:
                continue
            shown.add_row(
                str(devices),
                f"{batch:,}",
                f"{data} x {group}",
                f"{rate:,.0f}",
                f"{rate / devices / ideal:.0%}",
                f"{IMAGES_90_EPOCHS / rate / 60:.1f}",
                f"{IMAGES_90_EPOCHS / batch:,.0f}",
            )
    return shown


def show_check(found: dict) -> None:
    """Print the measured steps beside the model's."""
    title = f"processes of one CPU device on this machine, batch {found['batch']}"
    names = ("data x group", "MB received", "transfers", "work", "crossing", "model", "measured")
    shown = Table(*names, "ratio", title=title, title_justify="left")
    for run in found["runs"]:
        for name, step in run["steps"].items():
            times = (f"{step[f'{key}_ms']:,.1f} ms" for key in names[3:])
            shown.add_row(
                name.replace("x", " x "),
                f"{step['megabytes_received']:.2f}",
                str(step["transfers"]),
                *times,
                f"{step['measured_to_model']:.2f}",
            )
    show(shown)


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_enum("dtype", "float32", list(CROSSING), "Of the activations.")
    flags.DEFINE_string("step", None, "Two steps of one device: images:ms,images:ms.")
    flags.DEFINE_enum("inside", "NVLink (H100)", list(LINKS), "Link inside a machine.")
    flags.DEFINE_enum("between", "InfiniBand 400 Gb/s", list(LINKS), "Link between machines.")
    flags.DEFINE_bool("check", False, "Measure two and four processes of this machine.")


def main(_) -> None:
    """Print the tables, or the check."""
    f = flags.FLAGS
    if f.check:
        from experiments.communication import scaling_check  # which imports this module

        found = scaling_check.check()
        show_check(found)
        print(json.dumps(found))
        return
    work = work_of(steps_of(f.step, f.dtype))
    print(f"one device: {1e3 * work.fixed:.2f} ms + {1e6 * work.per_image:.2f} us an image")
    show(two_devices(work, f.dtype))
    show(many_devices(work, f.dtype, f.inside, f.between))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
