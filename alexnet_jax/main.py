"""Train AlexNet.

    python -m alexnet_jax.main --config=configs/quickstart.py --workdir=runs/quickstart

    python -m alexnet_jax.main --config=... --workdir=... --distributed

Any field of the config can be set: --config.model.lrn.enabled=False. The same command again goes
on where the run was. The last line is one JSON object with the result.

Processes started by SLURM, Open MPI, Kubernetes or Cloud TPU find each other; others are told by
--coordinator, --num_processes and --process_id.
"""

import json
import pathlib
import warnings

import jax
from absl import flags
from ml_collections import config_flags

from alexnet_jax.analysis.report import refresh
from alexnet_jax.errors import ConfigError
from alexnet_jax.run.config import idle
from alexnet_jax.system import command_line, distributed, sharding
from alexnet_jax.system.interrupt import Interrupt
from alexnet_jax.train import train

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe, a file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of several processes of a run.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "host:port of process 0.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Processes of the run.", lower_bound=1)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which one this is.", lower_bound=0)
flags.mark_flag_as_required("config")
OF_SEVERAL = (_COORDINATOR, _NUM_PROCESSES, _PROCESS_ID)


def main(_) -> None:
    """Train what the flags describe."""
    config = _CONFIG.value
    sharding.split_cpu(config.mesh)
    alone = [flag.name for flag in OF_SEVERAL if flag.value is not None]
    if alone and not _DISTRIBUTED.value:
        raise ConfigError(f"--{', --'.join(alone)} are of several processes: add --distributed")
    if _DISTRIBUTED.value:
        processes = (_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
        distributed.start(config.distributed, *processes)
    with distributed.named_failures(config.distributed):
        workdir = pathlib.Path(_WORKDIR.value)
        given = config_flags.get_override_values(flags.FLAGS["config"])
        for line in idle(config, given) if jax.process_index() == 0 else ():
            warnings.warn(line, stacklevel=1)
        result = train(
            config,
            workdir,
            interrupt=Interrupt(),
            after_validation=lambda: refresh.refresh(workdir),
        )
    if result:
        print(json.dumps(result))


if __name__ == "__main__":
    command_line.run(main)
