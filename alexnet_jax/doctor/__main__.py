"""Will a recipe start to learn? The doctor examines its first step, layer by layer.

    python -m alexnet_jax.doctor --config=configs/ilsvrc2012.py --config.data.dir=/path/to/imagenet

    python -m alexnet_jax.doctor --workdir=runs/mine

The second form examines the recipe of a run.

A net that gives every image the same answer has the loss ln(classes). It stays there until its
weights are large enough to tell images apart. The pull of the labels says how soon that is: by how
much the first step would lower the loss of its batch through the differences between the images.
The doctor prints the sizes of the signal and of the gradients in each layer, and compares the pull
with that of recipes whose start was measured. Where a recipe is not known to start, it examines
other values too, and names those that help. The last line is one JSON object.
"""

import dataclasses
import json
import shlex
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from rich.console import Console

from alexnet_jax.doctor.examine import WIDTH, examine, judge, table
from alexnet_jax.doctor.remedy import HOPELESS, remedy
from alexnet_jax.errors import ConfigError
from alexnet_jax.run.folder import read_config
from alexnet_jax.system import command_line
from alexnet_jax.system.paths import user_path


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag(required=False)
    flags.DEFINE_string("workdir", "", "Folder of a run, whose recipe is examined.")


def report(config: ConfigDict) -> None:
    """Print the layers, the verdict, and both as JSON on the last line."""
    layers, classes = examine(config)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table(layers))
    verdict, reason = judge(layers, classes)
    print(f"{verdict}: {reason}")
    result: dict[str, Any] = {"verdict": verdict, "reason": reason}
    if verdict in HOPELESS:
        values, then = remedy(config) or ({}, "")
        words = [f"--config.{name}={value}".replace(" ", "") for name, value in values.items()]
        print(f"try {shlex.join(words)}: {then}" if words else "no value that was tried helps")
        result["try"] = values
    result["pull"] = sum(layer.pull for layer in layers.values())
    result["layers"] = {name: dataclasses.asdict(layer) for name, layer in layers.items()}
    result = json.loads(json.dumps(result), parse_constant=lambda _: None)  # JSON has no NaN
    print(json.dumps(result))


def main(_) -> None:
    """Examine the recipe that the flags describe."""
    recipe, workdir = flags.FLAGS["config"].present, flags.FLAGS.workdir
    if bool(recipe) == bool(workdir):
        raise ConfigError("give --config, or the --workdir of a run, and not both")
    report(read_config(user_path(workdir)) if workdir else flags.FLAGS.config)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
