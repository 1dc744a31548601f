"""predictor against one image and one view at a time, on every mesh."""

import types

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.inference.predictor import (
    Predictor,
    batch_size_for,
    evaluate,
    make_evaluate_step,
    make_predict,
)
from alexnet_jax.system import sharding
from tests.support.narrow_nets import draw_params, make_arch, run

SIZE, IMAGES, CLASSES = 67, 11, 10
MESHES = [(1, 1), (2, 1), (1, 2), (2, 2)]
NET = make_arch(image_size=SIZE, classes=CLASSES)
PARAMS = draw_params(NET)
PARAMS["fc8"]["kernel"] *= 0.02  # so that the probabilities are none of them 0 or 1


def mesh_of(data, group, columns=2):
    return sharding.make_mesh(ConfigDict({"data": data, "group": group}), columns, data)


def placed(mesh, params):
    return jax.device_put(params, sharding.placed(mesh, sharding.param_specs(params)))


@pytest.fixture(scope="module")
def split():
    """(images, labels, pixel_stats) of a split of 11."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (IMAGES, 4, 4, 3)).repeat(64, 1).repeat(64, 2)  # unlike corners
    images = (base // 2 + rng.integers(0, 128, (IMAGES, 256, 256, 3))).astype(np.uint8)
    labels = rng.integers(0, CLASSES, IMAGES).astype(np.int32)
    mean = rng.uniform(90, 150, (256, 256, 3)).astype(np.float32)
    return images, labels, {"mean": mean, "colour": np.zeros((3, 3), np.float32)}


def slow_probabilities(net, params, images, pixel_stats, views) -> np.ndarray:
    """Cut each view of each image in NumPy, run the net on it, average the softmaxes: (B, 10)."""
    far, middle = 256 - SIZE, (256 - SIZE) // 2
    places = [(middle, middle)]
    if views == 10:
        places = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
    patches = []
    for image in images:
        less = image.astype(np.float32) - pixel_stats["mean"]
        for top, left in places:
            patch = less[top : top + SIZE, left : left + SIZE]
            patches += [patch, patch[:, ::-1]] if views == 10 else [patch]
    logits = run(net, params, np.stack(patches))[0].astype(np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return softmax.reshape(len(images), views, -1).mean(1)


@pytest.fixture(scope="module")
def slow(split):
    """Views -> probabilities of the 11 images."""
    images, _, pixel_stats = split
    return {v: slow_probabilities(NET, PARAMS, images, pixel_stats, v) for v in (1, 10)}


@pytest.mark.parametrize(("data", "group"), MESHES)
def test_any_number_of_images_will_do(data, group, split, slow):
    images, _, pixel_stats = split
    mesh = mesh_of(data, group)
    net = types.SimpleNamespace(params=placed(mesh, PARAMS), batch_stats={})
    restored = types.SimpleNamespace(mesh=mesh, state=net, pixel_stats=pixel_stats)
    found = Predictor(restored, make_predict(NET, mesh, 1))(images[:3])
    assert found.shape == (3, CLASSES)
    np.testing.assert_allclose(found, slow[1][:3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("data", "group"), MESHES)
def test_ten_views_are_averaged_after_the_softmax(data, group, split, slow):
    images, _, pixel_stats = split
    mesh = mesh_of(data, group)
    predict = make_predict(NET, mesh, 10)
    found = predict(placed(mesh, PARAMS), {}, images[:4], pixel_stats)
    assert found.shape == (4, CLASSES) and found.dtype == np.float32
    np.testing.assert_allclose(found, slow[10][:4], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.sum(found, axis=1), 1, rtol=1e-5)
    assert not np.allclose(slow[10][:4], slow[1][:4], rtol=0.01)


def test_one_column(split):
    images, _, pixel_stats = split
    net = make_arch(image_size=SIZE, classes=CLASSES, columns=1)
    params = draw_params(net)
    params["fc8"]["kernel"] *= 0.02
    found = make_predict(net, mesh_of(2, 1, columns=1), 1)(params, {}, images[:2], pixel_stats)
    expected = slow_probabilities(net, params, images[:2], pixel_stats, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def batches(images, labels, size, rng):
    """As the loader gives them: whole batches, mask 0 where there is no image."""
    for start in range(0, len(images), size):
        real = min(size, len(images) - start)
        image = rng.integers(0, 256, (size, 256, 256, 3)).astype(np.uint8)  # padding that tempts
        label = np.zeros(size, np.int32)
        image[:real], label[:real] = images[start : start + real], labels[start : start + real]
        yield {"image": image, "label": label, "mask": (np.arange(size) < real).astype(np.float32)}


@pytest.mark.parametrize(("data", "group"), MESHES)
def test_each_image_counts_exactly_once(data, group, split, slow):
    images, labels, pixel_stats = split
    mesh = mesh_of(data, group)
    step = make_evaluate_step(NET, mesh, 1)
    state = types.SimpleNamespace(params=placed(mesh, PARAMS), batch_stats={})
    own = slow[1][np.arange(IMAGES), labels]
    rank = (slow[1] > own[:, None]).sum(1)
    for size in (4, 8):
        seen = batches(images, labels, size, np.random.default_rng(1))
        found = evaluate(step, state, seen, pixel_stats, mesh)
        assert found["images"] == IMAGES
        np.testing.assert_allclose(found["loss"], -np.log(own).mean(), rtol=1e-4)
        np.testing.assert_allclose(found["top1_error"], (rank >= 1).mean(), rtol=1e-6)
        np.testing.assert_allclose(found["top5_error"], (rank >= 5).mean(), rtol=1e-6)
        assert found["images_per_second"] > 0
    assert 0 < (rank >= 5).mean() < (rank >= 1).mean()  # of a split that tells them apart


def test_evaluation_uses_the_running_statistics(split):
    images, _, pixel_stats = split
    net = make_arch(image_size=SIZE, classes=CLASSES, norm="batch")
    params = draw_params(net)
    stats = {
        f"norm{n}": {"mean": np.zeros((2, c), np.float32), "var": np.full((2, c), v, np.float32)}
        for n, c, v in ((1, 3, 8100.0), (2, 8, 1.5))
    }
    mesh = mesh_of(2, 2)
    found = make_predict(net, mesh, 1)(params, placed(mesh, stats), images[:2], pixel_stats)
    # Divided by the deviation here, and in `run`'s net, whose statistics are new, by its scale.
    for name, values in stats.items():
        scale = np.sqrt((1 + 1e-5) / (values["var"] + 1e-5))
        params[name]["scale"] = params[name]["scale"] * scale
    expected = slow_probabilities(net, params, images[:2], pixel_stats, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_a_probability_of_zero_has_a_finite_loss(split):
    images, _, pixel_stats = split
    params = {name: dict(layer) for name, layer in PARAMS.items()}
    params["fc8"]["bias"] = np.array([500.0] + [0.0] * (CLASSES - 1), np.float32)
    mesh = mesh_of(1, 1)
    step = make_evaluate_step(NET, mesh, 1)
    state = types.SimpleNamespace(params=params, batch_stats={})
    wrong = np.full(2, 3, np.int32)
    found = evaluate(
        step, state, batches(images[:2], wrong, 2, np.random.default_rng(1)), pixel_stats, mesh
    )
    np.testing.assert_allclose(found["loss"], -np.log(2.0**-126), rtol=1e-6)  # the smallest float
    assert found["top1_error"] == 1


def test_a_batch_that_divides_is_asked_or_the_next_larger():
    assert batch_size_for(mesh_of(2, 1), asked=128) == 128
    assert batch_size_for(mesh_of(2, 2), asked=127) == 128
    assert batch_size_for(mesh_of(4, 1), asked=1) == 4
    assert batch_size_for(mesh_of(1, 1), asked=7) == 7
    assert batch_size_for(mesh_of(4, 1), mesh_of(1, 2), mesh_of(2, 1), asked=9) == 12
