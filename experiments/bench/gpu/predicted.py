"""The training step compiled for a described H100: what each part moves, beside the least it could.

    JAX_PLATFORMS=cpu python -m experiments.bench.gpu.predicted [--batches=128,1024] [--out=FILE]

It needs requirements-gpu.txt and no GPU. Bytes are those of the compiled program's operations,
each operand and result once (hlo_traffic.py). The floor is what a part must move if all that a
layer does after its product is one pass, and so is its gradient. Times are bytes over the
bandwidth, or operations over the product rate where that takes longer, both by NVIDIA's data
sheets. So a time is predicted: no GPU has confirmed it, and where one is at hand XLA tries several
kernels for each product.
"""

import collections
import datetime
import json
import math
import pathlib

import jax
from absl import flags
from rich.table import Table

from alexnet_jax.net import listing
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.parameters import params_of, structure_of
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path
from alexnet_jax.system.terminal import show
from configs import ilsvrc2012
from experiments.bench.gpu.hlo_traffic import Operation, operations
from experiments.bench.gpu.layers import work_of
from experiments.communication import described_gpu
from experiments.communication.step_program import lowered_step

RECORD = pathlib.Path(__file__).parents[2] / "records" / "gpu_predicted.json"
# Bytes a second, and dense operations a second of tensor cores: data sheets of the SXM parts.
BANDWIDTH = {"H100": 3.35e12, "H200": 4.8e12}
RATE = {"float32": 494.7e12, "bfloat16": 989.4e12}  # TF32, bfloat16
ITEM = {"float32": 4, "bfloat16": 2}
LARGEST = 12
Key = tuple[str, bool]  # part, whether backward


def group(row: Operation) -> str:
    """Return conv1..fc8 for a product, "after conv1" for what follows it, or the part itself."""
    number = next((letter for letter in row.part if letter.isdigit()), None)
    if row.product or not number:
        return row.part
    return f"after {'conv' if number < '6' else 'fc'}{number}"


def moved(rows: list[Operation]) -> dict[Key, int]:
    """Return the bytes of each part."""
    total: dict[Key, int] = collections.Counter()
    for row in rows:
        total[group(row), row.backward] += row.moved
    return total


def floors(arch: Architecture, batch: int, dtype: str) -> dict[Key, int]:
    """Return the least bytes of each part of the paper's step."""
    image, item = arch.image_size**2 * 3, ITEM[dtype]
    params = params_of(structure_of(arch))
    every = sum(x.size for x in jax.tree.leaves(params))
    least: dict[Key, int] = {
        ("augment", False): batch * image * (1 + item) + 4 * image,
        ("update", False): every * (4 * 4 + item),  # weight and velocity in and out, the gradient
        ("loss", False): 2 * 4 * batch * arch.classes,
    }
    x = image
    for row in listing.rows(arch):
        name, columns = row.layer.name, 1 if row.layer.reads == "sum" else arch.columns
        y, z = (columns * math.prod(shape) for shape in (row.product, row.output))
        kernel = params[name]["kernel"].size
        wide = 4 if name == "fc8" else item
        product = wide * (batch * (x + y) + kernel)
        least[name, False], least[name, True] = product, product * (1 if name == "conv1" else 2)
        if name != "fc8":
            cast = kernel * (4 + item) if item < 4 else 0
            least[f"after {name}", False] = item * batch * (y + z) + cast
            least[f"after {name}", True] = item * batch * (y + z + y)
        x = z
    return least


def milliseconds(total: dict[Key, int], work: dict[Key, float], device: str, dtype: str) -> float:
    """Return the time of all parts, each as long as its bytes or its operations take."""
    seconds = (
        max(size / BANDWIDTH[device], work.get(key, 0.0) / RATE[dtype])
        for key, size in total.items()
    )
    return 1e3 * sum(seconds)


def predicted(batch: int, dtype: str) -> dict:
    """Return the figures of one compiled step."""
    config = ilsvrc2012.get_config()
    config.batch_size, config.model.compute_dtype = batch, dtype
    config.mesh.data = config.mesh.group = 1
    arch, lowered = lowered_step(config, described_gpu.devices(1))
    rows = operations(lowered.compile().as_text() or "")
    total, least, work = moved(rows), floors(arch, batch, dtype), work_of("paper", batch)
    found = {
        "batch": batch,
        "dtype": dtype,
        "gigabytes": round(sum(total.values()) / 1e9, 3),
        "floor_gigabytes": round(sum(least.values()) / 1e9, 3),
    }
    for device in BANDWIDTH:
        found[device] = {
            "step_ms": round(milliseconds(total, work, device, dtype), 3),
            "floor_ms": round(milliseconds(least, work, device, dtype), 3),
        }
    found["megabytes"] = {
        f"{name}{', backward' if backward else ''}": [
            round(total.get((name, backward), 0) / 1e6, 1),
            round(least.get((name, backward), 0) / 1e6, 1),
        ]
        for name, backward in dict.fromkeys((*least, *total))
    }
    largest = sorted((row for row in rows if not row.product), key=lambda row: -row.moved)
    found["largest"] = [
        f"{row.name}: {row.part}{', backward' if row.backward else ''}: "
        f"{row.read / 1e6:.1f} MB read, {row.written / 1e6:.1f} written"
        for row in largest[:LARGEST]
    ]
    return found


def table(found: dict) -> Table:
    """Return the bytes of the parts beside their floor."""
    title = f"batch {found['batch']}, {found['dtype']}: MB moved in a step"
    shown = Table("part", "compiled", "floor", title=title, title_justify="left")
    for name, (made, least) in found["megabytes"].items():
        shown.add_row(name, f"{made:,.1f}", f"{least:,.1f}")
    return shown


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_list("batches", ["128", "1024"], "Images a step.")
    flags.DEFINE_list("dtypes", list(ITEM), "Of the activations.")
    flags.DEFINE_string("out", str(RECORD), "The record, written after each program.")


def main(_) -> None:
    """Compile what the flags describe; print tables and write the record."""
    record: dict = {
        "command": "JAX_PLATFORMS=cpu python -m experiments.bench.gpu.predicted",
        "date": str(datetime.date.today()),
        "note": "predicted for a described H100 SXM: no GPU has confirmed it",
        "jax": jax.__version__,
        "megabytes": "part: [in the compiled program, floor]",
        "programs": [],
    }
    for dtype in flags.FLAGS.dtypes:
        for batch in map(int, flags.FLAGS.batches):
            found = predicted(batch, dtype)
            record["programs"].append(found)
            write_atomic(user_path(flags.FLAGS.out), json.dumps(record, indent=1) + "\n")
            show(table(found))
            say(json.dumps({k: v for k, v in found.items() if k not in ("megabytes", "largest")}))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
