"""Whether a recipe will start: what its first step would be like, layer by layer, before any.

    python -m alexnet_jax.doctor --config=configs/ilsvrc2012.py --config.data.dir=/path/to/imagenet

A net that gives every image the same answer has the loss ln(classes), and stays there until its
weights have grown enough to tell images apart. How soon that is shows in the pull of the labels:
by how much the first step would lower the loss of its own batch through what differs between its
images. This prints the signal's and the gradients' sizes of each layer and that pull beside those
of recipes whose start was measured. The last line is one JSON object.
"""

import dataclasses
import json
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags
from rich.console import Console

from alexnet_jax.doctor.examine import WIDTH, examine, judge, table
from alexnet_jax.system import command_line


def define_flags() -> None:
    """Define the command line."""
    config_flags.DEFINE_config_file("config", None, "The recipe, a file of configs/.")
    flags.mark_flag_as_required("config")


def report(config: ConfigDict) -> None:
    """Print what `examine` finds, the verdict, and all of it as the last line."""
    found, classes = examine(config)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table(found))
    verdict, reason = judge(found, classes)
    print(f"{verdict}: {reason}")
    result: dict[str, Any] = {"verdict": verdict, "reason": reason}
    result["pull"] = sum(layer.pull for layer in found.values())
    result["layers"] = {name: dataclasses.asdict(layer) for name, layer in found.items()}
    result = json.loads(json.dumps(result), parse_constant=lambda _: None)  # JSON has no NaN
    print(json.dumps(result))


def main(_) -> None:
    """Examine the recipe that the flags describe."""
    report(flags.FLAGS.config)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
