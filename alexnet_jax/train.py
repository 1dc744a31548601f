"""A run from its config: folder, images, net, checkpoints and log, and the loop over them."""

import pathlib
from collections.abc import Callable

import jax
from ml_collections import ConfigDict

from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.loop import Run
from alexnet_jax.net import resolving
from alexnet_jax.run import config as configs
from alexnet_jax.run import dataset_info, folder
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.logger import Logger, Silence
from alexnet_jax.system import distributed, sharding
from alexnet_jax.system.interrupt import Interrupt


def train(
    config: ConfigDict,
    workdir: pathlib.Path,
    after_validation: Callable[[], object] | None = None,
) -> dict:
    """Train what `config` describes in `workdir`, going on where the run there is.

    Args:
      config: a recipe.
      workdir: the run's folder.
      after_validation: called after each one, in the process that writes the log.

    Returns:
      The last validation's line of metrics.jsonl; nothing where another process writes it.

    Raises:
      UserError: what the user can mend: config, data, checkpoints, a loss that is not finite.
      Stopped: SIGTERM or SIGINT came; the state is saved.
    """
    configs.check(config)
    mesh = sharding.make_mesh(
        config.mesh, resolving.resolve(config.model).columns, config.batch_size
    )
    if jax.process_index() != 0:
        return _train(config, mesh, workdir, first=False)
    with folder.alone(workdir):
        folder.check_run(workdir, config)
        return _train(config, mesh, workdir, first=True, told=after_validation)


def _train(
    config: ConfigDict,
    mesh: jax.sharding.Mesh,
    workdir: pathlib.Path,
    *,
    first: bool,
    told: Callable[[], object] | None = None,
) -> dict:
    """Train, `first` in the process that writes the log."""
    dataset = prepare(config.data)
    distributed.wait_for_all("prepared")
    arch = resolving.resolve(config.model, len(dataset.class_names))
    with (
        Checkpoints(workdir, configs.fingerprint(config), config.checkpoint.dir) as checkpoints,
        Logger(workdir, tensorboard=config.log.tensorboard) if first else Silence() as log,
        Interrupt() as interrupt,
    ):
        if first:
            dataset_info.keep(workdir, dataset, config.data, begun=bool(checkpoints.steps()))
        run = Run(config, arch, mesh, dataset, checkpoints, log, interrupt, told)
        run.begin()
        if first:  # only now: a start that is refused leaves the folder's config as it was
            if run.step and (warning := folder.other_cores(workdir)):
                log.say(warning)
            folder.write_run(workdir, config)
        return run.go()
