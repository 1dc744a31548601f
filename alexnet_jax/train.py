"""Train a net: check what was asked for, prepare images, restore or create the run, and loop."""

import contextlib
import functools
import json
import pathlib
from collections.abc import Callable

import jax
from ml_collections import ConfigDict

from alexnet_jax.data.input import feed
from alexnet_jax.data.input.pixel_stats import OF_A_FILE, read_mean
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.run import config as configs
from alexnet_jax.run import dataset_info, folder
from alexnet_jax.run.by_hand import Rates
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.logger import Logger, Silence
from alexnet_jax.step.create import initial_state
from alexnet_jax.system import distributed, sharding
from alexnet_jax.system.interrupt import Interrupt
from alexnet_jax.system.paths import user_path
from alexnet_jax.training_loop import training_loop
from alexnet_jax.training_run import TrainingRun
from alexnet_jax.weights.init_from import check_fits, layers_to_take


def train(
    config: ConfigDict,
    workdir: str | pathlib.Path,
    *,
    interrupt: Interrupt | None = None,
    from_here: bool = False,
    after_validation: Callable[[], object] | None = None,
) -> dict:
    """Train what `config` describes in `workdir`; continue the run there if it has begun.

    Args:
      config: a recipe.
      workdir: the run's folder.
      interrupt: a context manager that is entered before the first step and asked before each step
        whether to stop; None: the run never stops early.
      from_here: a run that has begun goes on with the config's learning rates from here.
      after_validation: called after each validation, in the process that writes the log.

    Returns:
      The last validation's line of metrics.jsonl; {} in processes that write no log.

    Raises:
      UserError: an error that the user can fix, in the config, the data or the checkpoints; or a
        loss that is not finite.
      Stopped: `interrupt` asked to stop; the state is saved.
    """
    configs.check(config)
    workdir = user_path(workdir)
    data = config.data
    for path in (data.dir, data.prepared_dir, config.checkpoint.dir, config.init_from):
        user_path(path)  # refuses what is no path, before anything is made
    first = jax.process_index() == 0  # the process that writes the run's files
    with contextlib.ExitStack() as stack:
        run = _begin(stack, config, workdir, interrupt, from_here=from_here)
        last = training_loop(run, after_validation if first else None)
        if last and (words := run.watch.last_words(last["loss"], last["top1_error"])):
            run.log.say(f"{words}; why: python -m alexnet_jax.doctor --workdir={workdir}")
        return last


def _begin(
    stack: contextlib.ExitStack,
    given: ConfigDict,
    workdir: pathlib.Path,
    interrupt: Interrupt | None,
    *,
    from_here: bool,
) -> TrainingRun:
    """Return the run that begins or goes on in `workdir`; the stack closes what it has open.

    Nothing is written before the folder and the config are checked, and the folder's config
    changes last: a start that is refused leaves it as it was.
    """
    arch = resolving.resolve(given.model)
    mesh = sharding.make_mesh(given.mesh, arch.columns, given.batch_size)
    asked = folder.as_begun(workdir, given)
    _check_before_preparation(asked, arch)
    first = jax.process_index() == 0
    if first:
        stack.enter_context(folder.alone(workdir))
        folder.check_run(workdir, asked, from_here)
    distributed.wait_for_all("checked")
    _check_same_in_all(given)
    rates = Rates(folder.checkpoints_of(workdir, asked))
    config = rates.as_begun(asked)
    checkpoints = stack.enter_context(
        Checkpoints(workdir, configs.fingerprint(config), config.checkpoint.dir)
    )

    begins = not checkpoints.steps()
    accept = functools.partial(_check_listing, workdir, config, mesh, begins)
    dataset = prepare(config.data, accept=accept)
    distributed.wait_for_all("prepared")
    dataset_info.check_same_in_all(dataset)
    if first:
        dataset_info.keep(workdir, dataset, config.data, begun=not begins)

    arch = resolving.resolve(config.model, len(dataset.class_names))
    log = Logger(workdir, tensorboard=config.log.tensorboard) if first else Silence()
    stack.enter_context(log)
    stop = stack.enter_context(interrupt or contextlib.nullcontext())
    run = TrainingRun(config, arch, mesh, dataset, checkpoints, log, stop, rates)
    run.change_rates(asked)
    if first:
        if run.step and (warning := folder.other_machine(workdir)):
            log.say(warning)
        if given.data.held_out != config.data.held_out and "-holdout" in dataset.name:
            log.say(f"goes on with data.held_out={config.data.held_out}, as this run began")
        if rates.changes:
            rates.write()
        folder.write_run(workdir, config)
    return run


def _check_same_in_all(config: ConfigDict) -> None:
    """Refuse another config or other packages than process 0's: nothing else would notice.

    Raises:
      ConfigError: what differs.
    """
    environment = folder.environment()
    here = configs.flattened(config) | environment["packages"] | environment["jax_settings"]
    first = json.loads(distributed.first_has(json.dumps(here).encode()))
    may_differ = {name for name, field in configs.all_fields().items() if field.per_process}
    differ = [
        f"{name}: {first.get(name)!r}, here {here.get(name)!r}"
        for name in sorted((here.keys() | first.keys()) - may_differ)
        if first.get(name) != here.get(name)
    ]
    if differ:
        raise ConfigError(
            f"process 0 of this run has another config or other packages ({'; '.join(differ)}): "
            "start all processes with the same command and the same packages"
        )


def _check_before_preparation(config: ConfigDict, arch: Architecture) -> None:
    """Refuse what would otherwise be refused only after preparation, which may take hours.

    Raises:
      ConfigError: poolings that do not fit, layers that the net does not have, a file that is no
        mean.
    """
    state = jax.eval_shape(lambda: initial_state(config, arch))
    if config.init_from:
        layers_to_take(config.init_layers, tuple(state.params))
    if config.data.mean in OF_A_FILE:
        read_mean(config.data.mean_file, config.data.size)


def _check_listing(
    workdir: pathlib.Path,
    config: ConfigDict,
    mesh: jax.sharding.Mesh,
    begins: bool,
    class_names: tuple[str, ...],
    counts: dict[str, int],
) -> str:
    """Check the classes and the number of the images before any is read; return a warning, or "".

    Args:
      workdir: the run's folder.
      config, mesh: the run's.
      begins: whether the run is new.
      class_names: in the order of the labels.
      counts: images of each split.

    Raises:
      UserError: model.classes is another number, a new run's init_from has other classes or does
        not fit the net, a run that goes on had other images, or data.resident=on and too many.
    """
    images = counts["train"]
    if config.data.resident == "on":
        feed.is_resident("on", feed.split_bytes(images, config.data.size), mesh)
    arch = resolving.resolve(config.model, len(class_names))
    if begins:
        check_fits(config, arch, class_names)
    elif jax.process_index() == 0:
        dataset_info.check_listing(workdir, class_names, images, config.data.max_bad_fraction)
    if config.batch_size <= images:
        return ""
    return (
        f"warning: batch_size={config.batch_size} is more than the {images:,} training images, so "
        "one update sees an image more than once; lower it"
    )
