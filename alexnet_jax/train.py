"""Train a net: restore or create its state, then loop: batch, update, log, validate and save."""

import collections
import contextlib
import functools
import pathlib
from collections.abc import Callable

import jax
from ml_collections import ConfigDict

from alexnet_jax.data.input.pixel_stats import OF_A_FILE, at_epoch, read_mean
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.net import resolving
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.run import config as configs
from alexnet_jax.run import dataset_info, folder
from alexnet_jax.run.by_hand import Rates
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.clock import Clock
from alexnet_jax.run.logger import Logger, Silence
from alexnet_jax.step.create import initial_state
from alexnet_jax.step.train_step import make_train_step, make_train_steps
from alexnet_jax.system import distributed, sharding
from alexnet_jax.system.interrupt import Interrupt
from alexnet_jax.system.paths import user_path
from alexnet_jax.training_run import TrainingRun
from alexnet_jax.weights.init_from import check_fits, layers_to_take

IN_FLIGHT = 2  # calls that the host may be ahead of the device


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
    for path in (
        config.data.dir,
        config.data.prepared_dir,
        config.checkpoint.dir,
        config.init_from,
    ):
        user_path(path)  # refuses what is no path, before anything is made
    arch = resolving.resolve(config.model)
    mesh = sharding.make_mesh(config.mesh, arch.columns, config.batch_size)
    given, config = config, folder.as_begun(workdir, config)
    _check_before_preparation(config, arch)
    first = jax.process_index() == 0  # the process that writes the run's files
    with contextlib.ExitStack() as stack:
        if first:
            stack.enter_context(folder.alone(workdir))
            folder.check_run(workdir, config, from_here)
        distributed.wait_for_all("checked")
        rates, asked = Rates(folder.checkpoints_of(workdir, config)), config
        config = rates.as_begun(asked)
        checkpoints = stack.enter_context(
            Checkpoints(workdir, configs.fingerprint(config), config.checkpoint.dir)
        )

        begins = not checkpoints.steps()

        def accept(class_names: tuple[str, ...], counts: dict[str, int]) -> str:
            if first and not begins:
                bad = config.data.max_bad_fraction
                dataset_info.check_listing(workdir, class_names, counts["train"], bad)
            return _check_listing(config, class_names, counts["train"], begins)

        dataset = prepare(config.data, accept=accept)
        distributed.wait_for_all("prepared")
        arch = resolving.resolve(config.model, len(dataset.class_names))
        log = Logger(workdir, tensorboard=config.log.tensorboard) if first else Silence()
        stack.enter_context(log)
        stop = stack.enter_context(interrupt or contextlib.nullcontext())
        if first:
            dataset_info.keep(workdir, dataset, config.data, begun=bool(checkpoints.steps()))
        run = TrainingRun(config, arch, mesh, dataset, checkpoints, log, stop, rates)
        run.change_rates(asked)
        if first:  # not earlier: a start that is refused must not change the folder's config
            if run.step and (warning := folder.other_machine(workdir)):
                log.say(warning)
            if given.data.held_out != config.data.held_out and "-holdout" in dataset.name:
                log.say(f"goes on with data.held_out={config.data.held_out}, as this run began")
            if rates.changes:
                rates.write()
            folder.write_run(workdir, config)
        last = _loop(run, after_validation if first else None)
        if last and (words := run.watch.last_words(last["loss"], last["top1_error"])):
            log.say(f"{words}; why: python -m alexnet_jax.doctor --workdir={workdir}")
        return last


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
    config: ConfigDict, class_names: tuple[str, ...], images: int, begins: bool
) -> str:
    """Refuse what a listing of the images tells before they are read; return a warning, or "".

    Raises:
      ConfigError: model.classes is another number, or a new run's init_from has other classes.
      WeightsError: a new run's init_from does not fit the net.
    """
    arch = resolving.resolve(config.model, len(class_names))
    if begins:
        check_fits(config, arch, class_names)
    if config.batch_size <= images:
        return ""
    return (
        f"warning: batch_size={config.batch_size} is more than the {images:,} training images, so "
        "one update sees an image more than once; lower it"
    )


def _loop(run: TrainingRun, after_validation: Callable[[], object] | None) -> dict:
    """Do the remaining steps, and return the last validation's line of the log."""
    config, mesh, log, steps = run.config, run.mesh, run.log, run.epochs.steps
    images = run.make_feed()
    make = make_train_step if images.most == 1 else make_train_steps
    train_step = make(config, run.arch, mesh)

    @functools.lru_cache(maxsize=1)
    def placed_pixel_stats(epoch: int):
        return sharding.put_everywhere(mesh, at_epoch(run.pixel_stats, config.data, epoch))

    if run.step < steps:
        log.say(
            "compiling the training step: the first time some seconds, for a large net a minute"
        )
    clock, in_flight = Clock(), collections.deque[jax.Array]()
    while True:
        if run.validation_is_due():
            run.validate()
            if after_validation:
                after_validation()
            clock = Clock()
        if run.interrupt and (signal := run.interrupt.asked(run.step)) is not None:
            run.leave(signal)
        if run.step == steps:
            break

        run.set_learning_rates()
        pixel_stats = placed_pixel_stats(run.epochs.done(run.step))
        count = run.steps_alike(images.most)
        with clock.waiting(count, for_data=images.reads):
            batch = images.take(run.step, count)
        run.state, loss = train_step(run.state, batch, pixel_stats)
        run.step += count
        log.advance(run.step)
        in_flight.append(loss)
        if len(in_flight) > IN_FLIGHT:
            in_flight.popleft().block_until_ready()

        if run.step == run.watch.early:
            run.look_early()
        if run.logs_after(run.step):
            run.log_window(clock)
            clock = Clock()
        if run.saves_after(run.step) or run.is_late_after(run.step):
            run.save()
    run.checkpoints.wait()
    return log.last("val")
