"""The paper's ninety epochs on this machine and on that of 2012, from measured rates.

    python -m experiments.bench.time_to_train [--step=FILE.json] [--loader=IMAGES_PER_SECOND]

Takes the training and inference rates of a record of experiments.bench.step (its fastest batch), or
of a file with its last line, and the loader's rate. Prints the arithmetic, then one JSON object.
The run is 90 passes over the 1,281,167 images of ILSVRC-2012 (paper 5: "roughly 90 cycles"), each
followed by the 50,000 validation images. In 2012 it took "five to six days on two NVIDIA GTX 580
3GB GPUs" (paper 5).
"""

import json
import math
import pathlib

from absl import flags

from alexnet_jax.system import command_line
from alexnet_jax.system.paths import user_path

RECORD = pathlib.Path(__file__).parents[1] / "records" / "bench_step_cpu.json"
EPOCHS, TRAIN, VALIDATION = 90, 1_281_167, 50_000
GTX_580_DAYS = (5.0, 6.0)


def rates(path: pathlib.Path) -> dict:
    """Return the run of a record that has the highest training rate."""
    record = json.loads(path.read_text())
    return max(record.get("runs", [record]), key=lambda run: run["train"]["images_per_second"])


def hours(train: float, infer: float, loader: float) -> float:
    """Return the hours of the whole run, from images a second."""
    seconds = TRAIN / min(train, loader) + VALIDATION / min(infer, loader)
    return EPOCHS * seconds / 3600


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("step", str(RECORD), "A record of experiments.bench.step.")
    flags.DEFINE_float("loader", math.inf, "The loader's images a second.")


def main(_) -> None:
    """Print the arithmetic."""
    run, loader = rates(user_path(flags.FLAGS.step)), flags.FLAGS.loader
    train, infer = (run[kind]["images_per_second"] for kind in ("train", "inference"))
    total = hours(train, infer, loader)
    limiter = "the loader" if loader < train else "the training step"
    trains, infers = f"{min(train, loader):,.1f}", f"{min(infer, loader):,.1f}"
    then = [EPOCHS * TRAIN / (days * 86400) for days in GTX_580_DAYS]
    print(
        f"{EPOCHS} epochs of {TRAIN:,} images are {EPOCHS * TRAIN:,} images\n"
        f"here ({', '.join(run['devices'])}, batch {run['train']['batch']}, {run['dtype']}): "
        f"{trains} images/s in training, {infers} in evaluation; the limit is {limiter}\n"
        f"  {EPOCHS} x ({TRAIN:,} / {trains} + {VALIDATION:,} / {infers}) s = {total:,.1f} hours = "
        f"{total / 24:,.1f} days\n"
        f"two GTX 580 in 2012: 5 to 6 days, {then[1]:,.0f} to {then[0]:,.0f} images/s in training"
    )
    print(
        json.dumps(
            {
                "devices": run["devices"],
                "train_images_per_second": train,
                "inference_images_per_second": infer,
                "loader_images_per_second": loader if loader < math.inf else None,
                "hours": round(total, 2),
                "ratio_to_two_gtx_580": round(24 * sum(GTX_580_DAYS) / 2 / total, 4),
            }
        )
    )


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
