"""Train AlexNet.

    python -m alexnet_jax.main --config=configs/quickstart.py --workdir=runs/quickstart

Any field of the config can be set: --config.model.lrn.enabled=False. The same command again goes
on where the run was. The last line is one JSON object with the result.
"""

import json
import pathlib

from absl import flags
from ml_collections import config_flags

from alexnet_jax import command_line, sharding
from alexnet_jax.train import train

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe, a file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
flags.mark_flag_as_required("config")


def main(_) -> None:
    """Train what the flags describe."""
    sharding.split_cpu(_CONFIG.value.mesh)
    print(json.dumps(train(_CONFIG.value, pathlib.Path(_WORKDIR.value))))


if __name__ == "__main__":
    command_line.run(main)
