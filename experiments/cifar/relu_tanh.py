"""Figure 1 of the paper: epochs to 25 % training error on CIFAR-10, ReLU against tanh, sigmoid.

    python -m experiments.cifar.relu_tanh --data_dir=/path/to/cifar10 --out=runs/relu_tanh

Paper 3.1: a four-layer net of ReLUs gets there six times faster than one of tanh, each with the
rate that makes it fastest, without regularization of any kind. The net is the released program's
layers-18pct.cfg (three convolutions, one fully connected layer) without weight decay and
normalization. Pictures are 0-255 minus the mean picture, the batch size is 128; nothing else
differs between the activations.

First each activation runs once with each rate; a run ends when it takes longer than one with
another rate took. Then the fastest rate runs from all seeds. The error is measured on the training
batches, one point for each fifth of an epoch. Each finished run is a line of OUT/runs.jsonl and is
not made again; one that was stopped continues after its last whole epoch, from
OUT/<activation>_<rate>_<seed>.npz. It ends with OUT/figure1.svg (matplotlib) and one JSON object,
also OUT/summary.json.
"""

import json
import math
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from absl import flags

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from experiments.cifar import dataset, nets
from experiments.cifar.checkpoint import restore, save
from experiments.cifar.training import Data, Recipe, on_device, order, start, train
from experiments.support.run_lines import Line as Run
from experiments.support.run_lines import RunLines
from experiments.support.seed_statistics import mean_and_deviation

TARGET = 0.25  # training error
POINTS = 5  # of the curve, an epoch
PAPER = 6.0  # times faster
STYLES = {"relu": "-", "tanh": "--", "sigmoid": ":"}  # the first two as in the paper's figure


class Runs:
    """The finished runs, and how to make another.

    Args:
      path: the file with a line for each.
      data: all training pictures.
    """

    def __init__(self, path: pathlib.Path, data: Data):
        self.done, self.data = RunLines(path), data

    def of(self, activation: str, rate: float, seed: int, epochs: int) -> Run:
        """Return the run with these settings, of at most `epochs` epochs, made now or earlier."""
        asked = {"activation": activation, "rate": rate, "seed": seed}
        for run in self.done.lines:
            whole = run["end"] != "epochs" or run["epochs"] >= epochs
            if whole and asked.items() <= run.items():
                return run
        errors, end = self._learn(activation, rate, seed, epochs)
        found = {"end": end, "epochs": len(errors) / POINTS, "errors": errors}
        line = self.done.add({**asked, **found})
        if end != "epochs":
            self._saved(activation, rate, seed).unlink(missing_ok=True)
        return line

    def _learn(self, activation, rate, seed, epochs) -> tuple[list[float], str]:
        """Return the training error at each point, and why the run ended after the last one.

        A run that was stopped, or had fewer epochs, continues after its last whole epoch.
        """
        net = nets.without_regularization(nets.NETS["18pct"])
        recipe, saved = Recipe(net, activation), self._saved(activation, rate, seed)
        state, about = restore(saved, start(recipe, seed))
        errors = about.get("errors", [])
        for epoch in range(len(errors) // POINTS, epochs):
            places = order(seed, epoch, len(self.data.labels))
            for part in np.array_split(places, POINTS):
                state, found = train(recipe, state, self.data, part, rate)
                errors.append(round(found["top1_error"], 5))
                if not math.isfinite(found["loss"]):
                    return errors, "diverged"
                if errors[-1] <= TARGET:
                    return errors, "reached"
            save(saved, state, errors=errors)
            said = f"{activation} rate {rate:g} seed {seed} epoch {epoch + 1}/{epochs}"
            print(f"{said} training error {errors[-1]:.3f}", file=sys.stderr, flush=True)
        return errors, "epochs"

    def _saved(self, activation: str, rate: float, seed: int) -> pathlib.Path:
        return self.done.path.with_name(f"{activation}_{rate:g}_{seed}.npz")


def fastest(runs: Runs, activation: str, rates: Iterable[float], epochs: int) -> Run:
    """Try each rate once, giving up when another was faster; return the fastest run.

    If none reaches the target, it is the one with the lowest last error.
    """
    best: Run | None = None
    for rate in rates:
        reached = best is not None and best["end"] == "reached"
        most = math.ceil(best["epochs"]) if best and reached else epochs
        run = runs.of(activation, rate, 0, most)
        if best is None or _merit(run) < _merit(best):
            best = run
    assert best is not None
    return best


def _merit(run: Run) -> tuple[bool, float]:
    """Return a key by which a faster run sorts before a slower one."""
    if run["end"] == "reached":
        return False, run["epochs"]
    return True, run["errors"][-1] if run["end"] == "epochs" else math.inf


def summary(chosen: dict[str, list[Run]], rates: list[float]) -> dict[str, Any]:
    """Return, for each activation, its rate and its epochs to the target, and the ratio."""
    found: dict[str, Any] = {"target": TARGET, "paper_ratio": PAPER, "rates": sorted(rates)}
    for activation, runs in chosen.items():
        row: dict[str, Any] = {"rate": runs[0]["rate"], "seeds": len(runs)}
        row["rate_is_at_the_edge"] = runs[0]["rate"] in (min(rates), max(rates))
        row["last_errors"] = [run["errors"][-1] for run in runs]
        if all(run["end"] == "reached" for run in runs):
            row["epochs"] = [run["epochs"] for run in runs]
            row["mean"], row["sd"] = mean_and_deviation(row["epochs"])
        else:
            row["not_reached_in"] = max(run["epochs"] for run in runs if run["end"] != "reached")
        found[activation] = row
    for activation in chosen:
        means = [found.get(name, {}).get("mean") for name in ("relu", activation)]
        if activation != "relu" and None not in means:
            found[f"{activation}_over_relu"] = round(means[1] / means[0], 2)
    return found


def draw(chosen: dict[str, list[Run]], path: pathlib.Path) -> None:
    """Draw training error by epoch as the paper does: ReLU solid, tanh dashed."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "alexnet"
    figure, axes = pyplot.subplots(figsize=(6, 4.5), layout="constrained")
    for activation, runs in chosen.items():
        for k, run in enumerate(runs):
            epochs = [(i + 1) / POINTS for i in range(len(run["errors"]))]
            label = f"{activation}, rate {run['rate']:g}" if k == 0 else None
            style = STYLES.get(activation, "-.")
            axes.plot(epochs, run["errors"], style, color="black", linewidth=1, label=label)
    axes.axhline(TARGET, color="grey", linewidth=0.5)
    axes.set(xlabel="epochs", ylabel="training error rate", ylim=(0.2, 0.95), xlim=(0, None))
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("data_dir", None, "CIFAR-10 (experiments/cifar/dataset.py).", required=True)
    flags.DEFINE_string("out", None, "Folder of the runs.", required=True)
    flags.DEFINE_list("activations", ["relu", "tanh", "sigmoid"], "Those to compare.")
    flags.DEFINE_list("rates", ["0.01", "0.03", "0.003", "0.1", "0.001"], "As tried.")
    flags.DEFINE_integer("seeds", 3, "Runs at the fastest rate.", lower_bound=1)
    flags.DEFINE_integer("epochs", 60, "Of each run, at most.", lower_bound=1)


def asked() -> tuple[list[str], list[float]]:
    """Return the activations and the rates of the command line.

    Raises:
      ConfigError: a name that is not known, or a rate that is no number.
    """
    known, activations = list(nets.ACTIVATIONS), flags.FLAGS.activations
    if unknown := [name for name in activations if name not in known]:
        raise ConfigError(f"--activations takes {', '.join(known)}; got {', '.join(unknown)}")
    try:
        return activations, [float(rate) for rate in flags.FLAGS.rates]
    except ValueError as error:
        raise ConfigError(f"--rates is numbers with commas between: {error}") from None


def main(_) -> None:
    """Make the runs that are missing, and sum up."""
    activations, rates = asked()
    out = pathlib.Path(flags.FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    pictures, _test = dataset.read(pathlib.Path(flags.FLAGS.data_dir))
    runs = Runs(out / "runs.jsonl", on_device(pictures, pictures.mean()))
    chosen = {}
    for activation in activations:
        best = fastest(runs, activation, rates, flags.FLAGS.epochs)
        seeds = range(1, flags.FLAGS.seeds) if best["end"] == "reached" else ()
        more = [runs.of(activation, best["rate"], seed, flags.FLAGS.epochs) for seed in seeds]
        chosen[activation] = [best, *more]
    draw(chosen, out / "figure1.svg")
    result = summary(chosen, rates)
    write_atomic(out / "summary.json", json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
