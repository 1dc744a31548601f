"""The training loop: batch, update, log, validate and save, until all steps are done."""

import collections
import functools
from collections.abc import Callable

import jax

from alexnet_jax.data.input.pixel_stats import at_epoch
from alexnet_jax.run.clock import Clock
from alexnet_jax.step.train_step import make_train_step, make_train_steps
from alexnet_jax.system import sharding
from alexnet_jax.training_run import TrainingRun

IN_FLIGHT = 2  # calls that the host may be ahead of the device


def training_loop(run: TrainingRun, after_validation: Callable[[], object] | None) -> dict:
    """Do the remaining steps, and return the last validation's line of the log.

    Args:
      run: as restored or created.
      after_validation: called after each validation.

    Raises:
      TrainingError: a loss that is not finite.
      Stopped: run.interrupt asked to stop; the state is saved.
    """
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
