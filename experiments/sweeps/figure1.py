"""Figure 1 of the paper: epochs to 25 % training error on CIFAR-10, ReLU against tanh, sigmoid.

    python -m experiments.sweeps.figure1 --config=cifar_figure1 --out=runs/figure1 \
        --config.data.dir=/path/to/cifar-10 --seeds=3

Paper 3.1: a four-layer net of ReLUs gets there six times faster than one of tanh, each with the
learning rate that makes it fastest, without regularization of any kind. --race names each
activation with a rate and the epochs of its runs, relu:0.003:10; biases have twice the rate. The
rates given are the fastest of those that we tried (records/cifar10). To try others name an
activation more than once; the fastest of its rates counts.

This is a sweep (sweep.py describes resuming, --jobs and --where=slurm) over these runs. The error
is that of the log's lines: of the batches as they were trained on, a line each fifth of an epoch.
It ends with OUT/figure1.svg (matplotlib) and one JSON object, also OUT/figure1.json.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags
from matplotlib import pyplot

from alexnet_jax.analysis.figures import TARGET, race
from alexnet_jax.errors import ConfigError
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.paths import user_path
from experiments.support import pictures
from experiments.support.recipe import given
from experiments.support.seed_statistics import mean_and_deviation
from experiments.sweeps import command
from experiments.sweeps.runs import Run, Setting, plan

PAPER = 6.0  # times faster
BIAS_RATE = 2.0  # layer-params-18pct.cfg: epsB over epsW


@dataclasses.dataclass(frozen=True)
class Racer:
    """An activation with its learning rate and the epochs of its runs."""

    activation: str
    rate: float
    epochs: int

    def setting(self) -> Setting:
        """Return the fields of the config that make its runs."""
        fields = {
            "model.activation": self.activation,
            "optimizer.learning_rate": f"{self.rate:g}",
            "optimizer.bias_learning_rate": f"{BIAS_RATE * self.rate:g}",
            "epochs": str(self.epochs),
        }
        return Setting(f"{self.activation},{self.rate:g}", tuple(fields.items()))


def racers(texts: Sequence[str]) -> list[Racer]:
    """Return the runs that --race asks for.

    Raises:
      ConfigError: one is not of the form activation:rate:epochs.
    """
    found = []
    for text in texts:
        try:
            activation, rate, epochs = text.split(":")
            found.append(Racer(activation, float(rate), int(epochs)))
        except ValueError:
            raise ConfigError(
                f"--race is activation:rate:epochs with commas between; got {text!r}"
            ) from None
    if len({(one.activation, one.rate) for one in found}) < len(found):
        raise ConfigError(f"--race has an activation twice with one rate: {','.join(texts)}")
    return found


def curve(run: Run) -> list[tuple[float, float]]:
    """Return (epoch, training error) of each line of a run's log, to the first at the target.

    The last line is left out where it is of fewer steps than the others.
    """
    lines = map(json.loads, (run.workdir / "metrics.jsonl").read_text().splitlines())
    train = [line for line in lines if line["split"] == "train"]
    points = []
    for line in train:
        if line["step"] % train[0]["step"] == 0:
            points.append((line["epoch"], line["top1_error"]))
            if line["top1_error"] <= TARGET:
                break
    return points


Curves = list[list[tuple[float, float]]]  # a curve for each seed


def fastest(curves: dict[Racer, Curves]) -> dict[str, Racer]:
    """Return for each activation the racer that reached the target first, in the mean of its seeds.

    Where no racer's runs all reached it, that with the lowest last error.
    """

    def merit(racer: Racer) -> tuple[bool, float]:
        ends = [points[-1] for points in curves[racer]]
        reached = all(error <= TARGET for _, error in ends)
        of_each = [epoch if reached else error for epoch, error in ends]
        return not reached, sum(of_each) / len(of_each)

    activations = dict.fromkeys(racer.activation for racer in curves)
    return {
        name: min((racer for racer in curves if racer.activation == name), key=merit)
        for name in activations
    }


def summary(curves: dict[Racer, Curves]) -> dict[str, Any]:
    """Return, for each activation, its rate and its epochs to the target, and the ratios to ReLU's.

    Args:
      curves: of each racer's finished runs, at least one.
    """
    found: dict[str, Any] = {"target": TARGET, "paper_ratio": PAPER}
    for activation, racer in fastest(curves).items():
        ends = [points[-1] for points in curves[racer]]
        rates = [one.rate for one in curves if one.activation == activation]
        row: dict[str, Any] = {"rate": racer.rate, "rates": sorted(rates), "seeds": len(ends)}
        row["last_errors"] = [error for _, error in ends]
        if all(error <= TARGET for _, error in ends):
            row["epochs"] = [round(epoch, 2) for epoch, _ in ends]
            row["mean"], row["sd"] = mean_and_deviation(row["epochs"])
        else:
            row["not_reached_in"] = racer.epochs
        found[activation] = row
    for activation in fastest(curves):
        means = [found.get(name, {}).get("mean") for name in ("relu", activation)]
        if activation != "relu" and None not in means:
            found[f"{activation}_over_relu"] = round(means[1] / means[0], 2)
    return found


def draw(curves: dict[Racer, Curves], path: pathlib.Path) -> None:
    """Draw training error by epoch, the first activation solid, the second dashed."""
    figure, axes = pyplot.subplots(figsize=(6, 4.5), layout="constrained")
    labels = {f"{name}, rate {racer.rate:g}": racer for name, racer in fastest(curves).items()}
    race(axes, {label: curves[racer] for label, racer in labels.items()})
    axes.set_ylim(0.2, 0.95)
    pictures.save(figure, path)


def define_flags() -> None:
    """Define the command line."""
    command.define_flags()
    flags.DEFINE_list(
        "race", ["relu:0.003:10", "tanh:0.01:60"], "activation:rate:epochs of the runs."
    )


def main(_) -> None:
    """Run the race."""
    asked = racers(flags.FLAGS.race)
    settings = {racer: racer.setting() for racer in asked}
    result = command.sweep(list(settings.values()))
    out = user_path(flags.FLAGS.out)
    runs = plan(list(settings.values()), given(), flags.FLAGS.seeds, out)
    done = [run for run in runs if run.finished()]
    curves = {
        racer: [curve(run) for run in done if run.setting == setting]
        for racer, setting in settings.items()
    }
    curves = {racer: found for racer, found in curves.items() if found}
    if curves:
        draw(curves, out / "figure1.svg")
        result["figure1"] = summary(curves)
        write_atomic(out / "figure1.json", json.dumps(result["figure1"], indent=2) + "\n")
    command.end(result)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
