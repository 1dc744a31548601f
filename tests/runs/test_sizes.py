"""A run on squares of 80 pixels from its training to all that reads it, beside plain NumPy."""

import base64
import io
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from alexnet_jax import export
from alexnet_jax.analysis.features import extraction
from alexnet_jax.analysis.figure4.figure import make_figure
from alexnet_jax.analysis.report import page
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.input.files import batches, squares
from alexnet_jax.inference.predictor import Predictor, make_predict, predicted
from alexnet_jax.run.restore import restore
from alexnet_jax.train import train
from alexnet_jax.weights import files
from alexnet_jax.weights.container import SQUARES
from alexnet_jax.weights.exporting import export_weights
from alexnet_jax.weights.importing import import_weights
from alexnet_jax.weights.runs import read_run
from tests.support import tiny
from tests.support.narrow_nets import run as run_net

SIZE, VIEW = 80, 67
FAR, MIDDLE = SIZE - VIEW, (SIZE - VIEW) // 2
PLACES = [(0, 0), (0, FAR), (MIDDLE, MIDDLE), (FAR, 0), (FAR, FAR)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny.write_images(tmp_path_factory.mktemp("sizes"))
    train(made(folder), folder / "run")
    return folder


def made(folder, **changes):
    changes = {"data__size": SIZE, "data__storage": "raw", "epochs": 2, **changes}
    return tiny.config(folder, mesh__cpu_devices=1, mesh__data=1, mesh__group=1, **changes)


@pytest.fixture(scope="module")
def run(folder):
    return restore(folder / "run")


def by_hand(run, images: np.ndarray, places) -> np.ndarray:
    """The mean softmax over views, (b, 3)."""
    less = images.astype(np.float32) - run.dataset_info.statistics.mean_image
    patches = [less[:, t : t + VIEW, f : f + VIEW] for t, f in places]
    if len(places) > 1:
        patches += [patch[:, :, ::-1] for patch in patches]
    params = jax.device_get(run.state.params)
    logits = np.stack([run_net(run.arch, params, patch)[0] for patch in patches])
    shares = np.exp(logits.astype(np.float64))
    return (shares / shares.sum(-1, keepdims=True)).mean(0)


def test_ten_views_features_and_the_exported_function(run):
    images, _ = run.images().read("validation", range(8))
    assert images.shape == (8, SIZE, SIZE, 3)
    expected = by_hand(run, images, PLACES)
    ten = Predictor(run, make_predict(run.arch, run.mesh, 10))
    np.testing.assert_allclose(ten(images), expected, rtol=1e-4)
    answer = jax.jit(export.answer_of(run, 10))(images)
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-4)
    loaded = jax.export.deserialize(export.exported(run, 10))
    assert loaded.in_avals[0].shape[1:] == (SIZE, SIZE, 3)
    features = extraction.extractor(run, "relu7")(images)
    assert features.shape[1:] == extraction.feature_shape(run, "relu7")


def test_pictures_are_squares_of_the_runs_size(run, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    read = squares(paths, Resize.of(run.config.data))
    predictor = Predictor(run, make_predict(run.arch, run.mesh, 1))
    ((found, batch),) = predicted([predictor], batches(read, 4, pytest.fail))
    np.testing.assert_array_equal(batch["image"], pixels)
    np.testing.assert_allclose(found[0], by_hand(run, pixels, PLACES[2:3]), rtol=1e-4)


def test_figure_4_and_the_report(run):
    make_figure(run, run.images(train=True))
    neighbours = json.loads((run.workdir / "analysis/neighbours.json").read_text())
    jpeg = base64.b64decode(neighbours["images"][0]["jpeg"])
    with Image.open(io.BytesIO(jpeg)) as thumbnail:
        assert thumbnail.size == (SIZE, SIZE)  # not enlarged
    assert "figure4.png" in {path.name for path in (run.workdir / "analysis").iterdir()}
    assert "data.<wbr>size" in page.write([run.workdir]).read_text()


def test_weights_go_out_and_come_back_with_their_size(folder, tmp_path):
    squares = {"image": ("aspect", "area", "raw"), "channel": ("warp", "lanczos", "raw")}
    for mean, (resize, resize_filter, _) in squares.items():
        workdir = folder / "run" if mean == "image" else tmp_path / "run"
        if mean == "channel":
            how = {"data__resize": resize, "data__resize_filter": resize_filter}
            train(made(folder, data__mean="channel", epochs=1, **how), workdir)
        first = read_run(workdir)
        said = export_weights(first, tmp_path / f"{mean}.safetensors")
        assert said["size"] == str(SIZE)
        assert tuple(said[field] for field in SQUARES) == squares[mean]
        weights = files.read(tmp_path / f"{mean}.safetensors")
        recipe = tiny.config(folder)
        assert recipe.data.storage == "jpeg"
        again, _ = import_weights(weights, recipe, tmp_path / mean)
        assert again.data.size == SIZE
        assert tuple(again.data[field] for field in SQUARES) == squares[mean]
        second = read_run(tmp_path / mean)
        np.testing.assert_array_equal(second.mean, first.mean)
        assert json.loads((tmp_path / mean / "config.json").read_text())["data"]["size"] == SIZE


def test_another_size_is_another_run(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    with pytest.raises(Exception, match=r"data.size: 80 -> 96"):
        train(made(folder, data__size=96), tmp_path / "run")
