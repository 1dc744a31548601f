"""Training steps on an accelerator beside the same steps on the CPU, in float32.

    python -m experiments.bench.gpu.parity --batch=128 [--steps=200] [--arch=small]

From the same state on the same batch: in float32 with products of the highest precision, in float32
as training runs (TF32 on NVIDIA's GPUs), and in bfloat16. After one step the velocity is the
gradient times the learning rate, so its error is that of the whole step: ||v - w|| / ||w|| of each
parameter. The losses of more steps drift apart as rounding grows, so those of the first ten are
compared one by one, and the last twenty by their mean. The limits of bfloat16 are twice what it
differs by on a CPU, 0.31 of conv1's kernel gradient (batch 16, images of noise), or more. TF32
rounds to a quarter of that (2^-11, not 2^-9). No GPU has confirmed any of them. The last line is
one JSON object.
"""

import json
import statistics
from typing import Any

import jax
import numpy as np
from absl import flags

from alexnet_jax.system import command_line
from experiments.bench import turns
from experiments.bench.our_step import OurStep

# name -> (dtype of the activations, precision of products, limit of the parameters' errors, of the
# first ten losses' differences, of the last twenty's as a share of the CPU's)
LIMITS = {
    "float32_highest": ("float32", "highest", 1e-3, 1e-3, 0.05),
    "tf32": ("float32", "default", 1.5e-1, 5e-2, 0.1),
    "bfloat16": ("bfloat16", "default", 6e-1, 2e-1, 0.1),
}


def course(ours: OurStep, steps: int) -> tuple[dict[str, np.ndarray], list[float]]:
    """Return the velocities after the first step by name, and the losses of all steps."""
    state, first = ours.train()
    leaves, _ = jax.tree.flatten_with_path(state.opt_state.velocity)
    velocity = {".".join(key.key for key in path): np.asarray(x) for path, x in leaves}
    losses = [first, *(ours.train()[1] for _ in range(steps - 1))]
    return velocity, [float(loss) for loss in losses]


def error(got: np.ndarray, wanted: np.ndarray) -> float:
    """Return ||got - wanted|| / ||wanted||."""
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def compared(got, wanted, limits: tuple[float, float, float]) -> dict:
    """Return the errors of a course beside the CPU's, and whether all are within the limits."""
    errors = {name: error(got[0][name], of_cpu) for name, of_cpu in wanted[0].items()}
    first = max(abs(a - b) for a, b in zip(got[1][:10], wanted[1][:10], strict=True))
    last = statistics.mean(got[1][-20:]) / statistics.mean(wanted[1][-20:]) - 1
    measured = (max(errors.values()), first, abs(last))
    return {
        "parameters": errors,
        "largest": measured[0],
        "first_ten_losses": first,
        "last_twenty_losses": last,
        "limits": limits,
        "within": all(a <= b for a, b in zip(measured, limits, strict=True)),  # never with NaN
        "losses": [round(loss, 5) for loss in got[1]],
    }


def measure(arch: str, batch: int, steps: int, **model: Any) -> dict:
    """Return the comparisons by name, and the CPU's losses."""
    (device, *_), (cpu, *_) = jax.devices(), jax.devices("cpu")
    reference = OurStep(batch, "float32", arch, [cpu], **model)
    courses = {}
    for name, (dtype, precision, *_) in LIMITS.items():
        ours = OurStep(batch, dtype, arch, [device], **model)
        shardings = jax.tree.map(lambda x: x.sharding, ours.state)
        ours.state = jax.device_put(reference.state, shardings, may_alias=False)
        with jax.default_matmul_precision(precision):
            courses[name] = course(ours, steps)
    with jax.default_matmul_precision("highest"):
        wanted = course(reference, steps)
    return {
        "batch": batch,
        "device": f"{device.platform}:{device.device_kind}",
        "cpu_losses": [round(loss, 5) for loss in wanted[1]],
        **{name: compared(courses[name], wanted, LIMITS[name][2:]) for name in LIMITS},
    }


def define_flags() -> None:
    """Define the command line."""
    turns.define_flags()
    flags.DEFINE_integer("steps", 1, "Of each course.", lower_bound=1)


def main(_) -> None:
    """Compare what the flags describe."""
    print(json.dumps(measure(flags.FLAGS.arch, flags.FLAGS.batch, flags.FLAGS.steps)))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
