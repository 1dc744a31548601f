"""Train AlexNet.

    python -m alexnet_jax.main --config=quickstart

    python -m alexnet_jax.main --config=mine.py --workdir=runs/mine --distributed

--config is the name of a recipe of the package, or a file. A flag sets any field of it
(docs/config.md): --config.model.lrn.enabled=False. Without --workdir the run's folder is
runs/<the recipe's name>. The same command continues a run that was stopped. Another
--config.optimizer.learning_rate and --from_here change the rate of a run from its last checkpoint
on, as the authors did by hand. The last line is one JSON object with the result.

Processes that are started by SLURM, Open MPI, Kubernetes or Cloud TPU find each other; others need
--coordinator, --num_processes and --process_id.
"""

import json
import pathlib
import warnings

import jax
from absl import flags
from ml_collections import config_flags

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import command_line, distributed, sharding
from alexnet_jax.system.paths import user_path

PROCESS_FLAGS = ("coordinator", "num_processes", "process_id")


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()
    flags.DEFINE_string("workdir", "", "Folder of the run; runs/<the recipe's name> if empty.")
    flags.DEFINE_bool("from_here", False, "Continue with the config's learning rate.")
    flags.DEFINE_bool("distributed", False, "This is one of several processes of a run.")
    flags.DEFINE_string("coordinator", None, "host:port of process 0.")
    flags.DEFINE_integer("num_processes", None, "Processes of the run.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Which one this is.", lower_bound=0)


def main(_) -> None:
    """Train what the flags describe."""
    # Imported here, so that --help and an error in a flag come at once.
    from alexnet_jax.analysis.report import refresh
    from alexnet_jax.run.config import idle
    from alexnet_jax.system.interrupt import Interrupt
    from alexnet_jax.train import train

    values = flags.FLAGS
    config, process = values.config, {name: values[name].value for name in PROCESS_FLAGS}
    sharding.split_cpu(config.mesh)
    given = [name for name, value in process.items() if value is not None]
    if given and not values.distributed:
        raise ConfigError(f"--{', --'.join(given)} needs --distributed")
    if values.distributed:
        distributed.start(config.distributed, *process.values())
    with distributed.blame_a_peer_first(config.distributed):
        workdir = _workdir()
        overrides = config_flags.get_override_values(values["config"])
        for line in idle(config, overrides) if jax.process_index() == 0 else ():
            warnings.warn(line, stacklevel=1)
        result = train(
            config,
            workdir,
            interrupt=Interrupt(),
            from_here=values.from_here,
            after_validation=lambda: refresh.refresh(workdir),
        )
    if result:
        print(json.dumps(result))


def _workdir() -> pathlib.Path:
    """Return the run's folder; print it if the recipe's name decides it."""
    if flags.FLAGS.workdir:
        return user_path(flags.FLAGS.workdir)
    file = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")[0]
    workdir = pathlib.Path("runs", pathlib.Path(file).stem)
    if jax.process_index() == 0:
        print(f"the run's folder is {workdir}", flush=True)
    return workdir


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
