"""Steps and epochs of a run: batches run on across the bounds of epochs."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Epochs:
    """How far a step is in a run.

    Attributes:
      images: of the training split.
      batch_size: of a step.
      epochs: of the whole run.
      every: epochs from one validation to the next.
    """

    images: int
    batch_size: int
    epochs: int
    every: int

    @property
    def steps(self) -> int:
        """The steps of the whole run."""
        return self.end(self.epochs)

    def end(self, epoch: int) -> int:
        """Return the step that ends this many epochs."""
        return math.ceil(epoch * self.images / self.batch_size)

    def done(self, step: int) -> int:
        """Return the epochs that this many steps have ended."""
        return step * self.batch_size // self.images

    def passed(self, step: int) -> float:
        """Return the epochs that this many steps are, to four digits."""
        return round(step * self.batch_size / self.images, 4)

    def validates(self, step: int) -> bool:
        """Whether a validation follows this step: an epoch has just ended, or the run."""
        epoch = self.done(step)
        wanted = epoch % self.every == 0 or step == self.steps
        return step > 0 and wanted and step == self.end(epoch)
