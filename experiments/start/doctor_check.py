"""Is the doctor right: the pull of the labels before training, and when the recipe then starts.

    python -m experiments.start.doctor_check --config=configs/quickstart.py \
        --out=runs/doctor_check --factors=1,0.7,0.5,0.35,0.25 --steps=600

All initial deviations of the recipe are multiplied by each factor: the smaller, the weaker the
signal. For each factor and seed a line goes to OUT/runs.jsonl and is not made again: the pull of
the labels (alexnet_jax.doctor), and the first step from which the mean loss of ten steps stays 2 %
below ln(classes); a run ends where fifty steps in a row are. The last line is one JSON object.
"""

import copy
import json
import pathlib
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from alexnet_jax.net import resolving
from alexnet_jax.system import command_line
from experiments.start.first_steps import start
from experiments.support.run_lines import RunLines
from experiments.sweeps.runs import digest


def run(recipe: ConfigDict, factor: float, seed: int, steps: int) -> dict[str, Any]:
    """Return what one run gave."""
    config = copy.deepcopy(recipe)
    config.seed = seed
    arch = resolving.resolve(config.model)
    for layer in arch.layers:
        config.model.init.std[layer.name] = factor * getattr(arch.init.std, layer.name)
    found = start(config, steps)
    kept = ("pull", "left_at_step", "steps")
    return {name: found[name] for name in kept}


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()
    flags.DEFINE_list("factors", ["1", "0.7", "0.5", "0.35", "0.25"], "On all initial deviations.")
    flags.DEFINE_integer("seeds", 1, "Runs of each.", lower_bound=1)
    flags.DEFINE_integer("steps", 600, "Of each run, at most.", lower_bound=60)
    flags.DEFINE_string("out", None, "Folder of the record.", required=True)


def main(_) -> None:
    """Make the runs that are missing."""
    runs = RunLines(pathlib.Path(flags.FLAGS.out) / "runs.jsonl")
    recipe, steps = flags.FLAGS.config, flags.FLAGS.steps
    found = []
    for seed in range(flags.FLAGS.seeds):
        for factor in map(float, flags.FLAGS.factors):
            asked = {"factor": factor, "seed": seed, "steps_asked": steps, "recipe": digest(recipe)}
            line = runs.find(**asked)
            if line is None:
                line = runs.add({**asked, **run(recipe, factor, seed, steps)})
                print(json.dumps(line), flush=True)
            found.append(line)
    print(json.dumps({"runs": found}))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
