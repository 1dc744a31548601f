"""Will a recipe start to learn? The doctor examines its first step, layer by layer.

    python -m alexnet_jax.doctor --config=configs/ilsvrc2012.py --config.data.dir=/path/to/imagenet

A net that gives every image the same answer has the loss ln(classes). It stays there until its
weights are large enough to tell images apart. The pull of the labels says how soon that is: by how
much the first step would lower the loss of its batch through the differences between the images.
The doctor prints the sizes of the signal and of the gradients in each layer, and compares the pull
with that of recipes whose start was measured. The last line is one JSON object.
"""

import dataclasses
import json
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from rich.console import Console

from alexnet_jax.doctor.examine import WIDTH, examine, judge, table
from alexnet_jax.system import command_line


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()


def report(config: ConfigDict) -> None:
    """Print the layers, the verdict, and both as JSON on the last line."""
    layers, classes = examine(config)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table(layers))
    verdict, reason = judge(layers, classes)
    print(f"{verdict}: {reason}")
    result: dict[str, Any] = {"verdict": verdict, "reason": reason}
    result["pull"] = sum(layer.pull for layer in layers.values())
    result["layers"] = {name: dataclasses.asdict(layer) for name, layer in layers.items()}
    result = json.loads(json.dumps(result), parse_constant=lambda _: None)  # JSON has no NaN
    print(json.dumps(result))


def main(_) -> None:
    """Examine the recipe that the flags describe."""
    report(flags.FLAGS.config)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
