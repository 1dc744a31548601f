"""Resident images: the run has the bits that it has when they are read in each epoch."""

import jax
import numpy as np
import pytest

from alexnet_jax.data.input import feed
from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.step import create
from alexnet_jax.system import sharding
from alexnet_jax.train import train
from tests.support import tiny

MESHES = {"one": (1, 1), "data": (2, 1), "columns": (1, 2)}
STEPS, STOP = 200, 80  # 38 epochs of 42 images, by 8; it goes on from step 60, within an epoch
LOG, SAVE, RATES = 40, 60, 9  # steps; stretches of the learning rate
EARLY = 20  # a tenth of the run: a first look whether it is at chance


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("resident"))


def config(folder, mesh: str, resident: str):
    data, group = MESHES[mesh]
    return tiny.config(
        folder,
        epochs=38,
        data__size=32,
        data__storage="raw",
        data__colour_until=20,
        data__resident=resident,
        model__arch="small",
        model__image_size=28,
        model__drop_layers="conv4,conv5,fc7",
        model__lrn__enabled=False,
        schedule__kind="dexp",
        schedule__dexp_steps=RATES,
        evaluate__every_epochs=19,
        log__every_steps=LOG,
        checkpoint__every_steps=SAVE,
        mesh__data=data,
        mesh__group=group,
    )


def state(made, workdir):
    net = resolving.resolve(made.model, 3)
    mesh = sharding.make_mesh(made.mesh, net.columns, made.batch_size)
    with Checkpoints(workdir) as checkpoints:
        return checkpoints.restore(create.abstract_state(made, net, mesh))


@pytest.fixture(scope="module")
def read(folder):
    """For each mesh the folder of a run whose images are read in each epoch."""
    for mesh in MESHES:
        assert train(config(folder, mesh, "off"), folder / f"{mesh}_read")["step"] == STEPS
    return {mesh: folder / f"{mesh}_read" for mesh in MESHES}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mesh", "first", "second"),
    [("one", "off", "on"), ("data", "on", "on"), ("columns", "on", "on")],
)
def test_resident_images_give_the_bits_of_those_that_are_read(folder, read, mesh, first, second):
    workdir = folder / mesh
    tiny.train_until_unplugged(config(folder, mesh, first), workdir, STOP)
    made = config(folder, mesh, second)
    assert train(made, workdir)["step"] == STEPS
    assert tiny.bits(state(made, workdir)) == tiny.bits(state(made, read[mesh]))
    assert tiny.lines(workdir) == tiny.lines(read[mesh])


def ends_of_calls(most: int) -> list[int]:
    """Steps after which the host has to do something, or the next step needs something else."""
    ends, last = [], 0
    for step in range(1, STEPS + 1):
        epoch_ends = step * 8 // 42 > (step - 1) * 8 // 42
        other_rate = step * RATES // STEPS > (step - 1) * RATES // STEPS
        due = step % LOG == 0 or step % SAVE == 0 or step == EARLY or epoch_ends or other_rate
        if due or step == STEPS or step - last == most:
            ends.append(step)
            last = step
    return ends


@pytest.mark.slow
def test_several_steps_in_a_call_are_the_same_run(folder, read, monkeypatch):
    most, calls, take = 5, [], feed.Resident.take

    def noted(self, step, steps):
        calls.append((step, steps))
        return take(self, step, steps)

    monkeypatch.setattr(feed, "steps_in_a_call", lambda *_: most)
    monkeypatch.setattr(feed.Resident, "take", noted)
    made, workdir = config(folder, "one", "on"), folder / "several"
    train(made, workdir)
    ends = ends_of_calls(most)
    assert [step + steps for step, steps in calls] == ends
    assert [step for step, _ in calls] == [0, *ends[:-1]]
    ours, theirs = state(made, workdir), state(made, read["one"])
    exact = ("key", "step", "validated", "bad_step", "plateau")
    for name in exact:
        assert tiny.bits(getattr(ours, name)) == tiny.bits(getattr(theirs, name))
    # Inside a compiled loop XLA takes the sums of convolutions in another order.
    for one, other in zip(
        jax.tree.leaves(ours.params), jax.tree.leaves(theirs.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())
    got, expected = tiny.lines(workdir), tiny.lines(read["one"])
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    for one, other in zip(got, expected, strict=True):
        assert one["learning_rate"] == other["learning_rate"]
        assert one["top1_error"] == other["top1_error"]  # other images or masks would show
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
