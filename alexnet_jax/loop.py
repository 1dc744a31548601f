"""The training loop: restore, step, log, evaluate, plateau, save."""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterator

import jax
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input.loader import eval_batches, train_batches
from alexnet_jax.data.input.pixel_stats import at_epoch, make_pixel_stats
from alexnet_jax.doctor.signal import ChanceWatch
from alexnet_jax.errors import TrainingError
from alexnet_jax.inference.predictor import SPLIT, batch_size_for, evaluate, make_evaluate_step
from alexnet_jax.net import architecture
from alexnet_jax.net.filters import colour_shares, filter_grid
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.clock import Clock
from alexnet_jax.run.logger import Logger, Silence
from alexnet_jax.step import metrics, optimizer, schedule
from alexnet_jax.step.create import abstract_state, create_state
from alexnet_jax.step.epochs import Epochs
from alexnet_jax.step.train_step import make_train_step
from alexnet_jax.system import sharding
from alexnet_jax.system.interrupt import Interrupt, Stopped
from alexnet_jax.weights.initial import initialised

IN_FLIGHT = 2  # steps that the host may be ahead of the device


class Run:
    """One run: its state, what is compiled and constant, and the loop over its steps."""

    def __init__(
        self,
        config: ConfigDict,
        arch: architecture.Architecture,
        mesh: jax.sharding.Mesh,
        dataset,
        checkpoints: Checkpoints,
        log: Logger | Silence,
        interrupt: Interrupt,
        after_validation: Callable[[], object] | None = None,
    ):
        self.config, self.arch, self.mesh, self.dataset = config, arch, mesh, dataset
        self.checkpoints, self.log, self.interrupt = checkpoints, log, interrupt
        self.after_validation = after_validation
        images = dataset.num_examples("train")
        self.epochs = Epochs(images, config.batch_size, config.epochs, config.evaluate.every_epochs)
        self.steps = self.epochs.steps
        self.pixel_stats = make_pixel_stats(dataset.statistics, config.data)
        self.pixel_stats_epoch: int | None = None  # of those that are on the devices
        self.train_step = make_train_step(config, arch, mesh)
        self.evaluate_step = make_evaluate_step(arch, mesh, config.evaluate.views)
        self.plateau = schedule.make_plateau(config.schedule)
        self.rates: optimizer.LearningRates | None = (
            None  # those that the state has, once they are set
        )
        self.in_flight: collections.deque[jax.Array] = collections.deque()
        self.kept = -1  # step of the last state that was saved or restored
        self.watch = ChanceWatch(arch, dataset, self.pixel_stats, config.log)

    def go(self) -> dict:
        """Run to the end, from where `begin` found it."""
        while True:
            if self.validation_is_due():
                self.validate()
            if (number := self.interrupt.asked(self.step)) is not None:
                self.leave(number)
            if self.step == self.steps:
                break
            self.update()
            if self.step % self.config.log.every_steps == 0 or self.step == self.steps:
                self.tell()
            every = self.config.checkpoint.every_steps
            if every and self.step % every == 0 and not self.validation_is_due():
                self.save()
        self.checkpoints.wait()
        return self.log.last("val")

    def begin(self) -> None:
        """Restore or draw the state, and open the stream of batches where it stands."""
        config = self.config
        state = self.checkpoints.restore(abstract_state(config, self.arch, self.mesh))
        if state is None:
            state = create_state(config, self.arch, self.mesh)
            if config.init_from:
                state, loaded = initialised(state, config, self.arch, self.mesh)
                self.log.say(loaded)
        else:
            self.kept = int(state.step)
        self.state, self.step = state, int(state.step)
        # Copies on the host: a look at the running step's state would wait for it.
        self.plateau_state = jax.device_get(state.plateau)
        if self.step > self.steps:
            raise TrainingError(
                f"epochs={config.epochs} is {self.steps} steps, but this run has done {self.step}: "
                "ask for more, or begin anew with another --workdir"
            )
        self.log.begin(self.step, int(state.validated), self.steps)
        begins = f"goes on from step {self.step}" if self.step else "begins"
        self.log.say(
            f"{begins}: {self.steps} steps of {config.batch_size} images, "
            f"{self.epochs.images} images and {self.arch.classes} classes, "
            f"mesh {dict(self.mesh.shape)} of {jax.devices()[0]}"
        )
        self.batches = train_batches(
            self.dataset,
            batch_size=config.batch_size,
            seed=config.seed,
            start_step=self.step,
            steps=self.steps - self.step,
            rows=sharding.local_rows(self.mesh, config.batch_size),
            workers=config.data.workers,
        )
        self.clock = Clock()

    def update(self) -> None:
        """Make one step of the optimizer."""
        epoch = self.epochs.done(self.step)
        rates = schedule.rates(
            self.config,
            self.state.params,
            step=self.step,
            epoch=epoch,
            steps=self.steps,
            plateau=self.plateau_state,
        )
        if rates != self.rates:
            values = sharding.put_everywhere(self.mesh, jax.tree.map(np.float32, rates))
            opt_state = optimizer.with_learning_rates(self.state.opt_state, values)
            self.state = dataclasses.replace(self.state, opt_state=opt_state)
            self.rates = rates
        if epoch != self.pixel_stats_epoch:
            pixel_stats = at_epoch(self.pixel_stats, self.config.data, epoch)
            self.placed_pixel_stats = sharding.put_everywhere(self.mesh, pixel_stats)
            self.pixel_stats_epoch = epoch
        with self.clock.waiting():
            batch = sharding.put_batch(self.mesh, next(self.batches))
        self.state, loss = self.train_step(self.state, batch, self.placed_pixel_stats)
        self.step += 1
        self.log.advance(self.step)
        self.in_flight.append(loss)
        if len(self.in_flight) > IN_FLIGHT:
            self.in_flight.popleft().block_until_ready()

    def tell(self) -> None:
        """Log the means since the last line, and begin the next."""
        jax.block_until_ready(self.state)
        timing = self.clock.read(self.config.batch_size)
        self.check_finite()
        window = jax.device_get(self.state.window)
        self.log.metrics({**self.where("train"), **metrics.means(window), **timing})
        if warning := self.watch.warning(float(window["loss"] / window["images"]), self.state):
            self.log.say(warning)
        zeros = jax.tree.map(np.zeros_like, window)
        self.state = dataclasses.replace(
            self.state, window=sharding.put_everywhere(self.mesh, zeros)
        )
        self.clock = Clock()

    def check_finite(self) -> None:
        """Stop the run where a loss was not finite; nothing is saved after it."""
        if (bad := int(self.state.bad_step)) >= 0:
            raise TrainingError(self.not_finite("loss", bad))

    def not_finite(self, what: str, step: int) -> str:
        """Say that the parameters after `step` updates give no number, and from where they do."""
        kept = [saved for saved in self.checkpoints.steps() if saved < step]
        last = f"the last one saved before, step {kept[-1]}, is good" if kept else "none was saved"
        return (
            f"the {what} was not finite at step {step}; {last}. A lower optimizer.learning_rate is "
            "the usual remedy"
        )

    def validation_is_due(self) -> bool:
        """Whether an epoch has just ended whose validation is not yet done."""
        return self.epochs.validates(self.step) and int(self.state.validated) != self.step

    def validate(self) -> None:
        """Evaluate, tell the plateau, save. A signal on the way saves without it and leaves."""
        self.check_finite()
        batch_size = batch_size_for(self.mesh, asked=self.config.evaluate.batch_size)
        batches = eval_batches(
            self.dataset,
            SPLIT,
            batch_size=batch_size,
            rows=sharding.local_rows(self.mesh, batch_size),
            workers=self.config.data.workers,
        )
        batches = self.unless_stopped(batches)
        found = evaluate(self.evaluate_step, self.state, batches, self.pixel_stats, self.mesh)
        if not math.isfinite(found["loss"]):
            raise TrainingError(self.not_finite("validation loss", self.step))
        conv1 = sharding.whole(self.mesh, self.state.params["conv1"]["kernel"])
        colour = colour_shares(conv1 / np.asarray(self.config.data.divide_by)[:, None])
        self.log.metrics({**self.where("val"), **found, "conv1_colour": colour})
        self.log.image("conv1", filter_grid(conv1), self.step)
        self.plateau_state = jax.device_get(
            schedule.after_validation(self.plateau, self.plateau_state, found["top1_error"])
        )
        known = {"plateau": self.plateau_state, "validated": np.int32(self.step)}
        self.state = dataclasses.replace(self.state, **sharding.put_everywhere(self.mesh, known))
        self.save(found)
        if self.after_validation is not None:
            self.after_validation()
        self.clock = Clock()

    def unless_stopped(self, batches: Iterator[dict]) -> Iterator[dict]:
        """Pass batches on; leave when a signal has come."""
        for batch in batches:
            if self.interrupt.number is not None:
                self.leave(self.interrupt.number)
            yield batch

    def save(self, validation: dict | None = None) -> None:
        """Begin to write a checkpoint of a state that is known to be good."""
        self.check_finite()
        self.checkpoints.save(self.state, validation)
        self.kept = self.step

    def leave(self, number: int) -> None:
        """Save where that is not done, and stop."""
        if self.step != self.kept:  # where a damaged one of this step may lie
            self.save()
        self.checkpoints.wait()
        raise Stopped(number, f"saved at step {self.step}; the same command goes on from there")

    def where(self, split: str) -> dict:
        """Return the beginning of a line of the log."""
        rate = self.state.opt_state.rates.base
        return {
            "step": self.step,
            "epoch": self.epochs.passed(self.step),
            "split": split,
            "learning_rate": float(f"{float(rate):.6g}"),  # as it was set, not as float32 has it
        }
