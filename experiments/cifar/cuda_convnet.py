"""cuda-convnet's own results on CIFAR-10, with our pooling, normalization and update.

    python -m experiments.cifar.cuda_convnet --data_dir=/path/to/cifar10 --net=18pct \
        --seeds=0,1,2 --out=runs/cuda_convnet_cifar

18pct: 18 % test error without augmentation, with response normalization over pixels
(example-layers/layers-18pct.cfg, layer-params-18pct.cfg: a tenth of the rates after 120 epochs, and
again after 10 more). 80sec: 26 % (layers-80sec.cfg; a later copy of layer-params-80sec.cfg has: a
tenth after 8 epochs). No file says how long the last rate runs: here, as in Caffe's cifar10_full
and cifar10_quick, 10 and 2 epochs.

Only the order of the pictures differs from the original recipe: the program's batches were the same
in every epoch, ours are drawn anew. Each run has a folder, OUT/<net>_<seed>: state.npz and
metrics.jsonl, written after each epoch; the same command continues a run. It ends with
OUT/<net>.svg (matplotlib) and one JSON object, also OUT/<net>.json.

--recompress trains and tests on pictures saved as JPEG once more, as <net>_recompressed: this
raises the error by about as much as a copy of CIFAR-10 whose pictures are JPEG files.
"""

import itertools
import json
import math
import pathlib
import sys
import time
from typing import Any

from absl import flags

from alexnet_jax.errors import CheckpointError, ConfigError, TrainingError
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from experiments.cifar import dataset
from experiments.cifar.checkpoint import restore, save
from experiments.cifar.nets import NETS
from experiments.cifar.training import Data, Recipe, State, evaluate, on_device, order, start, train
from experiments.support.seed_statistics import mean_and_deviation

# (epochs, epsW); biases have twice the rate.
SCHEDULES = {
    "18pct": ((120, 0.001), (10, 0.0001), (10, 0.00001)),
    "80sec": ((8, 0.001), (2, 0.0001)),
}
PUBLISHED = {"18pct": 0.18, "80sec": 0.26}  # test error: the first line of their files


def rates(net: str, scale: float) -> list[float]:
    """Return the rate of each epoch."""
    stretches = [[rate] * max(1, round(scale * epochs)) for epochs, rate in SCHEDULES[net]]
    return list(itertools.chain(*stretches))


class Run:
    """One net from one seed, in its folder.

    Args:
      folder: of state.npz and metrics.jsonl.
      net: a name of NETS.
      rates: of each epoch.
      seed: of the initial values and the order.
    """

    def __init__(self, folder: pathlib.Path, net: str, rates: list[float], seed: int):
        self.folder, self.rates, self.seed = folder, rates, seed
        self.recipe = Recipe(NETS[net])
        folder.mkdir(parents=True, exist_ok=True)

    def go(self, pictures: Data, tests: Data) -> list[dict[str, Any]]:
        """Train to the end, from the last epoch that was saved; return the lines of the log.

        Raises:
          TrainingError: the loss is not finite.
          CheckpointError: what was saved is not of this run.
        """
        state, done = self.restore()
        lines = self._lines(done)
        if done:
            print(f"{self.folder.name} goes on after epoch {done}", file=sys.stderr, flush=True)
        for epoch in range(done, len(self.rates)):
            begin, rate = time.monotonic(), self.rates[epoch]
            places = order(self.seed, epoch, len(pictures.labels))
            state, found = train(self.recipe, state, pictures, places, rate)
            tested = evaluate(self.recipe, state.params, tests)
            if not math.isfinite(found["loss"] + tested["loss"]):
                raise TrainingError(f"{self.folder}: the loss is not finite in epoch {epoch + 1}")
            line = {
                "epoch": epoch + 1,
                "rate": rate,
                "train_loss": round(found["loss"], 5),
                "train_error": round(found["top1_error"], 5),
                "test_loss": round(tested["loss"], 5),
                "test_error": round(tested["top1_error"], 5),
                "seconds": round(time.monotonic() - begin, 2),
            }
            lines.append(line)
            # The state last: it is what says how many epochs are done.
            write_atomic(self._log, "".join(json.dumps(line) + "\n" for line in lines))
            save(self._saved, state, epoch=epoch + 1, rates=self.rates[: epoch + 1])
            print(f"{self.folder.name} {json.dumps(line)}", file=sys.stderr, flush=True)
        return lines

    @property
    def _log(self) -> pathlib.Path:
        return self.folder / "metrics.jsonl"

    @property
    def _saved(self) -> pathlib.Path:
        return self.folder / "state.npz"

    def _lines(self, epochs: int) -> list[dict[str, Any]]:
        text = self._log.read_text() if epochs else ""
        return [json.loads(line) for line in text.splitlines()][:epochs]

    def restore(self) -> tuple[State, int]:
        """Return the state that was saved last and its epochs, or the first state and 0."""
        state, about = restore(self._saved, start(self.recipe, self.seed))
        done = about.get("epoch", 0)
        if about.get("rates", []) != self.rates[:done]:
            raise CheckpointError(f"{self.folder} holds a run with other rates: take another --out")
        return state, done


def draw(net: str, curves: dict[int, list[dict[str, Any]]], path: pathlib.Path) -> None:
    """Draw test and training errors of all seeds."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "alexnet"
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for k, (seed, lines) in enumerate(curves.items()):
        for name, style in (("test_error", "-"), ("train_error", ":")):
            errors = [line[name] for line in lines]
            label = f"{name.replace('_', ' ')}, seed {seed}"
            epochs = [line["epoch"] for line in lines]
            axes.plot(epochs, errors, style, color=f"C{k}", linewidth=1, label=label)
    axes.axhline(PUBLISHED[net], color="grey", linewidth=0.5, label="published test error")
    axes.set(xlabel="epoch", ylabel="error", title=f"layers-{net}.cfg")
    axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("data_dir", None, "CIFAR-10 (experiments/cifar/dataset.py).", required=True)
    flags.DEFINE_string("out", None, "Folder of the runs.", required=True)
    flags.DEFINE_enum("net", "18pct", list(NETS), "Which.")
    flags.DEFINE_float("scale", 1.0, "Factor on all epochs, for a shorter run.", lower_bound=0)
    flags.DEFINE_list("seeds", ["0", "1", "2"], "A run each.")
    flags.DEFINE_bool("recompress", False, "Save the pictures as JPEG once more.")


def main(_) -> None:
    """Make what is missing of the runs, and sum up."""
    try:
        seeds = [int(seed) for seed in flags.FLAGS.seeds]
    except ValueError as error:
        raise ConfigError(f"--seeds is whole numbers with commas between: {error}") from None
    net, out = flags.FLAGS.net, pathlib.Path(flags.FLAGS.out)
    train_split, test_split = dataset.read(pathlib.Path(flags.FLAGS.data_dir))
    name = net
    if flags.FLAGS.recompress:
        name = f"{net}_recompressed"
        train_split, test_split = (
            dataset.recompressed(train_split),
            dataset.recompressed(test_split),
        )
    mean = train_split.mean()
    pictures, tests = on_device(train_split, mean), on_device(test_split, mean)
    each = rates(net, flags.FLAGS.scale)
    curves = {}
    for seed in seeds:
        curves[seed] = Run(out / f"{name}_{seed}", net, each, seed).go(pictures, tests)
    draw(net, curves, out / f"{name}.svg")
    errors = [lines[-1]["test_error"] for lines in curves.values()]
    mean_error, deviation = mean_and_deviation(errors)
    result = {
        "net": net,
        "recompressed": flags.FLAGS.recompress,
        "epochs": len(each),
        "test_errors": errors,
        "mean": round(mean_error, 5),
        "sd": deviation,
        "published": PUBLISHED[net],
        "difference": round(mean_error - PUBLISHED[net], 5),
    }
    write_atomic(out / f"{name}.json", json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
