"""Every named net, narrow: trains, is cut off, goes on, and is seen from ten views."""

import math

import numpy as np
import pytest

from alexnet_jax.data.sources import shapes
from alexnet_jax.net.variants import ARCHITECTURES
from alexnet_jax.train import train
from tests.support import tiny

TRAIN, VALIDATION, BATCH = 32, 6, 8
STEPS, STOP = 8, 3  # 2 epochs of 4 steps; cut off in the middle of one


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place for the pictures of the quickstart, a few of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "SPLIT_SIZES", {"train": TRAIN, "validation": VALIDATION})
        yield tmp_path_factory.mktemp("archs")


def config(folder, name: str):
    made = tiny.config(
        folder,
        data__builder="shapes",
        epochs=STEPS * BATCH // TRAIN,
        evaluate__views=10,
        checkpoint__every_steps=STOP,
        mesh__group=1,
        mesh__data=1,
        optimizer__learning_rate=0.001,
    )
    made.model.arch, made.model.classes, made.model.image_size = name, 0, 99
    for part in ("std", "bias"):  # the quickstart's are for its own net
        for layer in made.model.init[part]:
            made.model.init[part][layer] = None
    for layer in ("conv2", "conv3", "conv4", "conv5", "conv6", "fc6", "fc7", "bottleneck", "fc8"):
        made.model.init.std[layer] = 0.1  # so narrow a net needs larger weights
    return made


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trains_goes_on_and_is_evaluated(folder, tmp_path, name):
    tiny.train_until_unplugged(config(folder, name), tmp_path, STOP)
    assert tiny.lines(tmp_path)[-1]["step"] == STOP
    result = train(config(folder, name), tmp_path)
    lines = tiny.lines(tmp_path)
    assert [line["step"] for line in lines if line["split"] == "train"] == [*range(1, STEPS + 1)]
    losses = [line["loss"] for line in lines]
    assert np.isfinite(losses).all() and len(set(losses)) > STEPS  # it moves
    assert losses[0] < 20 * math.log(10)
    assert (result["images"], result["step"]) == (VALIDATION, STEPS)
