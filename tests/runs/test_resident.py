"""Resident images: the run has the bits that it has when they are read in each epoch."""

import pytest

from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.step import create
from alexnet_jax.system import sharding
from alexnet_jax.train import train
from tests.support import tiny

MESHES = {"one": (1, 1), "data": (2, 1), "columns": (1, 2)}
STEPS, STOP = 200, 75  # 38 epochs of 42 images, by 8; it goes on from step 60, within an epoch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("resident"))


def config(folder, mesh: str, resident: str, **changes):
    data, group = MESHES[mesh]
    values = {
        "epochs": 38,
        "data__size": 72,
        "data__storage": "raw",
        "data__colour_until": 20,
        "model__image_size": 67,
        "schedule__kind": "dexp",
        "schedule__dexp_steps": 9,
        "evaluate__every_epochs": 19,
        "log__every_steps": 25,
        "checkpoint__every_steps": 30,
    }
    return tiny.config(
        folder,
        **values | changes,
        mesh__data=data,
        mesh__group=group,
        data__resident=resident,
    )


def state_bits(made, workdir) -> dict[str, bytes]:
    net = resolving.resolve(made.model, 3)
    mesh = sharding.make_mesh(made.mesh, net.columns, made.batch_size)
    with Checkpoints(workdir) as checkpoints:
        return tiny.bits(checkpoints.restore(create.abstract_state(made, net, mesh)))


@pytest.mark.slow
@pytest.mark.parametrize("mesh", MESHES)
def test_read_resident_and_changed_in_the_middle_are_one_run(folder, mesh):
    found = []
    for name, first, second in (("read", "off", "off"), ("on", "on", "on"), ("both", "off", "on")):
        workdir = folder / f"{mesh}_{name}"
        if first != second:
            tiny.train_until_unplugged(config(folder, mesh, first), workdir, STOP)
        made = config(folder, mesh, second)
        assert train(made, workdir)["step"] == STEPS
        found.append((state_bits(made, workdir), tiny.lines(workdir)))
    assert found[0] == found[1] == found[2]
