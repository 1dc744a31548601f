"""Is the doctor right? The pull of the labels before training, and when the recipe then starts.

    python -m experiments.start.doctor_check --config=configs/quickstart.py \
        --out=runs/doctor_check --factors=1,0.7,0.5,0.35,0.25 --steps=600

All initial deviations of the recipe are multiplied by each factor; a smaller factor gives a weaker
signal. Each factor and seed is one run and one line of OUT/runs.jsonl, and is not made again: the
pull of the labels (alexnet_jax.doctor), and the first step from which the mean loss of ten steps
stays 2 % below ln(classes). A run ends after fifty such steps in a row. The last line is one JSON
object.
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
from experiments.support.recipe import digest
from experiments.support.run_lines import RunLines


def run(recipe: ConfigDict, factor: float, seed: int, steps: int) -> dict[str, Any]:
    """Return the result of one run."""
    config = copy.deepcopy(recipe)
    config.seed = seed
    arch = resolving.resolve(config.model)
    for layer in arch.layers:
        config.model.init.std[layer.name] = factor * getattr(arch.init.std, layer.name)
    result = start(config, steps)
    return {name: result[name] for name in ("pull", "left_at_step", "steps")}


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()
    flags.DEFINE_list(
        "factors", ["1", "0.7", "0.5", "0.35", "0.25"], "Factors on all initial deviations."
    )
    flags.DEFINE_integer("seeds", 1, "Runs of each factor.", lower_bound=1)
    flags.DEFINE_integer("steps", 600, "Of each run, at most.", lower_bound=60)
    flags.DEFINE_string("out", None, "Folder of the record.", required=True)


def main(_) -> None:
    """Make the missing runs."""
    runs = RunLines(pathlib.Path(flags.FLAGS.out) / "runs.jsonl")
    recipe, steps = flags.FLAGS.config, flags.FLAGS.steps
    lines = []
    for seed in range(flags.FLAGS.seeds):
        for factor in map(float, flags.FLAGS.factors):
            asked = {"factor": factor, "seed": seed, "steps_asked": steps, "recipe": digest(recipe)}
            line = runs.find(**asked)
            if line is None:
                line = runs.add({**asked, **run(recipe, factor, seed, steps)})
                print(json.dumps(line), flush=True)
            lines.append(line)
    print(json.dumps({"runs": lines}))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
