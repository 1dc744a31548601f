"""A run saved on one mesh goes on on another, in the middle of an epoch, as if nothing had been."""

import itertools
import pathlib

import numpy as np
import pytest

from alexnet_jax.train import train
from tests.support import tiny

STOP, AFTER = 9, 20  # steps; an epoch ends with 6, 11, 16, ...
MESHES = {"1x1": (1, 1), "1x2": (1, 2), "2x2": (2, 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("elastic"))


def config(folder: pathlib.Path, mesh: str, resident: str = "on"):
    data, group = MESHES[mesh]
    signal = {f"model__init__std__conv{n}": 0.15 for n in range(1, 6)}
    signal |= {f"model__init__std__fc{n}": 0.1 for n in range(6, 9)}
    return tiny.config(
        folder,
        epochs=6,
        optimizer__learning_rate=0.001,
        checkpoint__every_steps=STOP,
        data__resident=resident,
        mesh__data=data,
        mesh__group=group,
        **signal,
    )


def losses(workdir: pathlib.Path) -> list[float]:
    return [line["loss"] for line in tiny.lines(workdir) if line["split"] == "train"]


@pytest.fixture(scope="module")
def unbroken(folder):
    train(config(folder, "1x1", "off"), folder / "unbroken")
    return losses(folder / "unbroken")


@pytest.mark.parametrize(
    ("first", "second", "tolerance"),
    [("1x2", "1x1", 1e-6), ("1x1", "1x2", 1e-6), ("2x2", "1x1", 1e-5), ("1x2", "2x2", 1e-5)],
)
def test_goes_on_elsewhere(folder, unbroken, first, second, tolerance):
    workdir = folder / f"{first}-{second}"
    tiny.train_until_unplugged(config(folder, first), workdir, STOP)
    assert len(losses(workdir)) == STOP
    train(config(folder, second), workdir)
    found = losses(workdir)
    assert len(found) == len(unbroken) >= STOP + AFTER
    np.testing.assert_allclose(found, unbroken, rtol=tolerance)
    # Each batch has a loss of its own: other images or masks would show.
    assert all(abs(a / b - 1) > 100 * tolerance for a, b in itertools.pairwise(unbroken))
