"""Runs of one recipe in one process share their steps, which JAX would trace anew for each run."""

from collections.abc import Callable

import pytest

from alexnet_jax.inference.predictor import make_evaluate_step
from alexnet_jax.step.train_step import make_train_step


def shared(make: Callable, key: Callable) -> Callable:
    made: dict = {}

    def once(*arguments):
        of = key(*arguments)
        if of not in made:
            made[of] = make(*arguments)
        return made[of]

    return once


def of_training(config, arch, mesh):
    data = {**config.data, "resident": None}  # where images come from is not in the step
    return repr((data, config.optimizer, arch)), mesh


TRAIN = shared(make_train_step, of_training)
EVALUATE = shared(make_evaluate_step, lambda arch, mesh, views: (repr(arch), mesh, views))


@pytest.fixture(autouse=True, scope="module")
def traced_once():
    """Let all runs of a module have their steps from here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alexnet_jax.training_loop.make_train_step", TRAIN)
        patch.setattr("alexnet_jax.training_run.make_evaluate_step", EVALUATE)
        yield
