"""A training run: its state, and what happens to it between two steps."""

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from typing import NoReturn

import jax
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input import feed
from alexnet_jax.data.input.loader import Batch, eval_batches, train_batches
from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.doctor.dead_layers import ChanceWatch
from alexnet_jax.errors import TrainingError
from alexnet_jax.inference.predictor import batch_size_for, evaluate, make_evaluate_step
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.conv1_filters import colour_shares, filter_grid
from alexnet_jax.run.by_hand import Rates
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.clock import Clock
from alexnet_jax.run.logger import Logger, Silence
from alexnet_jax.run.metrics_file import COLOUR
from alexnet_jax.run.restore import SPLIT
from alexnet_jax.step import metrics, optimizer, schedule
from alexnet_jax.step.create import abstract_state, create_state
from alexnet_jax.step.state import TrainState
from alexnet_jax.system import distributed, sharding
from alexnet_jax.system.interrupt import Interrupt, Stopped
from alexnet_jax.system.progress import counted
from alexnet_jax.weights.init_from import initialised


@dataclasses.dataclass
class TrainingRun:
    """The state of a run, and what happens to it between two steps.

    Attributes:
      state: on the devices.
      step: updates done: state.step, on the host.
      saved: step of the last state that was saved or restored; -1: none.
      saved_at: when that was, in seconds.
      learning_rates: those in the state; None: not set yet.
      plateau: state.plateau on the host, since reading it from the state would wait for the step.
    """

    config: ConfigDict
    arch: Architecture
    mesh: jax.sharding.Mesh
    dataset: PreparedDataset
    checkpoints: Checkpoints
    log: Logger | Silence
    interrupt: Interrupt | None
    rates: Rates

    def __post_init__(self) -> None:
        config, arch, mesh, dataset = self.config, self.arch, self.mesh, self.dataset
        images, every = dataset.num_examples("train"), config.evaluate.every_epochs
        self.epochs = schedule.Epochs(images, config.batch_size, config.epochs, every)
        size = feed.split_bytes(images, dataset.size)
        self.resident = feed.is_resident(config.data.resident, size, mesh)
        self.pixel_stats = make_pixel_stats(dataset.statistics, config.data)
        self.watch = ChanceWatch(arch, dataset, self.pixel_stats, config.log, self.epochs.steps)
        self.evaluate_step = make_evaluate_step(arch, mesh, config.evaluate.views)
        self.learning_rates: optimizer.LearningRates | None = None
        self.state, self.saved = self.restore_or_create()
        self.saved_at = time.monotonic()
        self.step, self.plateau = int(self.state.step), jax.device_get(self.state.plateau)
        if self.step > self.epochs.steps:
            raise TrainingError(
                f"epochs={config.epochs} is {counted(self.epochs.steps, 'step')}, but this run has "
                f"done {self.step}: ask for more, or begin anew with another --workdir"
            )
        self.log.begin(self.step, int(self.state.validated), self.epochs.steps)
        where = "on each device" if self.resident else "read in each epoch"
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        self.log.say(
            f"{f'goes on from step {self.step}' if self.step else 'begins'}: "
            f"{counted(self.epochs.steps, 'step')} of {counted(config.batch_size, 'image')}, "
            f"{counted(images, 'image')} and {arch.classes} classes, {parameters:,} parameters, "
            f"mesh {dict(mesh.shape)} of {jax.devices()[0]}, training images "
            f"({size / 1e6:,.0f} MB) {where}"
        )

        if slower := _slower_here(arch, jax.default_backend()):
            self.log.say(slower)

    def restore_or_create(self) -> tuple[TrainState, int]:
        """Return the latest checkpoint's state and its step, or a new state and -1."""
        like = abstract_state(self.config, self.arch, self.mesh)
        if (state := self.checkpoints.restore(like)) is not None:
            return state, int(state.step)
        state = create_state(self.config, self.arch, self.mesh)
        if self.config.init_from:
            state, loaded = initialised(state, self.config, self.arch, self.mesh)
            self.log.say(loaded)
        return state, -1

    def make_feed(self) -> feed.Loaded | feed.Resident:
        """Return where the batches come from; if that is the devices, read all images now."""
        config, images, mesh = self.config, self.dataset, self.mesh
        how = {"batch_size": config.batch_size, "seed": config.seed}
        workers = config.data.workers
        if self.resident and self.step < self.epochs.steps:
            most = feed.steps_in_a_call(mesh, config.batch_size, self.arch.image_size)
            stored = eval_batches(images, "train", batch_size=config.batch_size, workers=workers)
            split = feed.read_all(images, self.reading(stored), self.log.say)
            return feed.Resident(mesh, *split, most=most, **how)
        steps = {"start_step": self.step, "steps": self.epochs.steps - self.step}
        rows = sharding.local_rows(mesh, config.batch_size)
        return feed.Loaded(mesh, train_batches(images, rows=rows, workers=workers, **steps, **how))

    def change_rates(self, asked: ConfigDict) -> None:
        """Use another config's learning rates from here on, if they differ."""
        at = {"step": self.step, "epoch": self.epochs.done(self.step), "steps": self.epochs.steps}
        drop = schedule.drop(self.config.schedule, **at, plateau=self.plateau)
        if self.rates.set(asked, self.step, drop):
            self.log.say(
                f"the learning rate is {asked.optimizer.learning_rate:g} from step {self.step} on, "
                "set by hand; later drops multiply it"
            )

    def set_learning_rates(self) -> None:
        """Put the learning rates of the next update into the state, if they have changed."""
        now = self.learning_rates_after(self.step)
        if now != self.learning_rates:
            values = sharding.put_everywhere(self.mesh, jax.tree.map(np.float32, now))
            opt_state = self.state.opt_state._replace(rates=values)
            self.state = dataclasses.replace(self.state, opt_state=opt_state)
            self.learning_rates = now

    def learning_rates_after(self, step: int) -> optimizer.LearningRates:
        """Return the learning rates of the update after `step` others; no validation is between."""
        at = {"step": step, "epoch": self.epochs.done(step), "steps": self.epochs.steps}
        config = self.rates.config_at(self.config, step)
        return schedule.learning_rates(config, self.state.params, **at, plateau=self.plateau)

    def steps_alike(self, most: int) -> int:
        """Return how many of the next `most` steps can run in one call of the devices.

        The call ends at the next line of the log, checkpoint, early look or end of an epoch (where
        validations and other pixel_stats come), or before a change of the learning rates.
        """
        for step in range(self.step + 1, self.step + most):
            due = self.logs_after(step) or self.saves_after(step) or step == self.watch.early
            if due or self.epochs.done(step) > self.epochs.done(step - 1):
                return step - self.step
            if self.learning_rates_after(step) != self.learning_rates:
                return step - self.step
        return most

    def logs_after(self, step: int) -> bool:
        """Whether a line of the log follows this step."""
        return step % self.config.log.every_steps == 0 or step == self.epochs.steps

    def saves_after(self, step: int) -> bool:
        """Whether a checkpoint follows this step, besides those of validations."""
        every = self.config.checkpoint.every_steps
        return every > 0 and step % every == 0 and not self.epochs.validates(step)

    def is_late_after(self, step: int) -> bool:
        """Whether a checkpoint follows this line of the log because of the time since the last."""
        minutes = self.config.checkpoint.every_minutes
        if not minutes or not self.logs_after(step) or self.epochs.validates(step):
            return False
        return distributed.first_says(time.monotonic() - self.saved_at >= 60 * minutes)

    def log_window(self, clock: Clock) -> None:
        """Log the means since the last line, and begin new sums."""
        jax.block_until_ready(self.state)
        timing = clock.read(self.config.batch_size)
        self.check_finite()
        window = jax.device_get(self.state.window)
        self.log.metrics({**self.line("train"), **metrics.means(window), **timing})
        if warning := self.watch.warning(float(window["loss"] / window["images"]), self.state):
            self.log.say(warning)
        zeros = sharding.put_everywhere(self.mesh, jax.tree.map(np.zeros_like, window))
        self.state = dataclasses.replace(self.state, window=zeros)

    def look_early(self) -> None:
        """Warn after a tenth of a short run if the loss is at ln(classes) and a layer is dead."""
        window = jax.device_get(self.state.window)
        loss = float(window["loss"] / window["images"])
        if warning := self.watch.early_warning(loss, self.state):
            self.log.say(warning)

    def line(self, split: str) -> dict:
        """Return the beginning of a line of the log."""
        rate = self.state.opt_state.rates.base
        change = self.rates.at(self.step - 1)
        return {
            "step": self.step,
            "epoch": self.epochs.passed(self.step),
            "split": split,
            "learning_rate": float(f"{float(rate):.6g}"),  # 0.01, not the float32 next to it
            **({"by_hand_at": change["step"]} if change else {}),
        }

    def validation_is_due(self) -> bool:
        """Whether an epoch has just ended and its validation is still to be done."""
        return self.epochs.validates(self.step) and int(self.state.validated) != self.step

    def validate(self) -> None:
        """Evaluate, log, update the plateau and save; a signal stops the evaluation and the run."""
        self.check_finite()
        result = evaluate(
            self.evaluate_step, self.state, self.validation_batches(), self.pixel_stats, self.mesh
        )
        if not math.isfinite(result["loss"]):
            raise TrainingError(self.not_finite("validation loss", self.step))
        conv1 = sharding.whole(self.mesh, self.state.params["conv1"]["kernel"])
        colour = colour_shares(conv1 / np.asarray(self.config.data.divide_by)[:, None])
        self.log.metrics({**self.line("val"), **result, COLOUR: colour})
        self.log.image("conv1", filter_grid(conv1), self.step)
        plateau = schedule.make_plateau(self.config.schedule)
        self.plateau = jax.device_get(
            schedule.after_validation(plateau, self.plateau, result["top1_error"])
        )
        new = {"plateau": self.plateau, "validated": np.int32(self.step)}
        self.state = dataclasses.replace(self.state, **sharding.put_everywhere(self.mesh, new))
        self.save(result)

    def validation_batches(self) -> Iterator[Batch]:
        """Read the validation images."""
        size = batch_size_for(self.mesh, asked=self.config.evaluate.batch_size)
        rows, workers = sharding.local_rows(self.mesh, size), self.config.data.workers
        images = eval_batches(self.dataset, SPLIT, batch_size=size, rows=rows, workers=workers)
        return self.reading(images)

    def reading(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pass batches on; leave the run when a signal has come."""
        for batch in batches:
            if self.interrupt and self.interrupt.number is not None:
                self.leave(self.interrupt.number)
            yield batch

    def save(self, validation: dict | None = None) -> None:
        """Begin to write a checkpoint, but never of a state whose loss was not finite."""
        self.check_finite()
        self.log.sync()
        self.checkpoints.save(self.state, validation)
        self.saved, self.saved_at = self.step, time.monotonic()

    def leave(self, signal: int) -> NoReturn:
        """Save the state if it is not saved yet, and stop."""
        if self.step != self.saved:
            self.save()
        self.checkpoints.wait()
        raise Stopped(signal, f"saved at step {self.step}; the same command goes on from there")

    def check_finite(self) -> None:
        """Raise TrainingError if a loss was not finite."""
        if (bad := int(self.state.bad_step)) >= 0:
            raise TrainingError(self.not_finite("loss", bad))

    def not_finite(self, what: str, step: int) -> str:
        """Return an error text with the last good checkpoint; that of `step` is not good."""
        good = [saved for saved in self.checkpoints.steps() if saved < step]
        last = f"the last one saved before, step {good[-1]}, is good" if good else "none was saved"
        return (
            f"the {what} was not finite at step {step}; {last}. A lower optimizer.learning_rate is "
            "the usual remedy"
        )


def _slower_here(arch: Architecture, platform: str) -> str:
    """Return a warning if the net's activations would be faster in float32, or ""."""
    if platform != "cpu" or arch.compute_dtype == "float32":
        return ""
    return (
        f"model.compute_dtype={arch.compute_dtype} is slower than float32 on a CPU: 0.7x on one "
        "with AVX512-BF16 (docs/performance.md)"
    )
