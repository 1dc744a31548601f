"""The CIFAR-10 experiments' data, nets and update, against slow NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from alexnet_jax.errors import DataError
from experiments.cifar import dataset, nets, training
from experiments.cifar.nets import NETS, Row
from experiments.cifar.training import Recipe, on_device, order, start, train

RNG = np.random.default_rng(0)
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def split(count: int) -> dataset.Split:
    images = RNG.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    return dataset.Split(images, (np.arange(count) % 10).astype(np.int32))


def test_the_binary_files_and_folders_of_pictures_are_the_same_data(tmp_path):
    train, test = split(50), split(10)
    binary, folders = tmp_path / "bin", tmp_path / "folders"
    binary.mkdir()
    parts = {f"data_batch_{k + 1}": slice(10 * k, 10 * k + 10) for k in range(5)}
    files = [(train, parts), (test, {"test_batch": slice(None)})]
    for whole, names in files:
        for name, part in names.items():
            planes = whole.images[part].transpose(0, 3, 1, 2).reshape(-1, 3072)
            records = np.concatenate([whole.labels[part, None].astype(np.uint8), planes], axis=1)
            records.tofile(binary / f"{name}.bin")
    for kind, whole in (("train", train), ("test", test)):
        for i, (image, label) in enumerate(zip(whole.images, whole.labels, strict=True)):
            place = folders / kind / NAMES[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{i:04d}.png")
    for found, whole in zip(dataset.read(binary), (train, test), strict=True):
        np.testing.assert_array_equal(found.images, whole.images)
        np.testing.assert_array_equal(found.labels, whole.labels)
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int32)
    for found, whole in zip(dataset.read(folders), (train, test), strict=True):
        by_class = np.argsort(whole.labels, kind="stable")
        np.testing.assert_array_equal(found.images, whole.images[by_class])
        np.testing.assert_array_equal(found.labels, whole.labels[by_class])
    np.testing.assert_allclose(train.mean(), train.images.astype(float).mean(0), rtol=1e-6)


def test_what_is_not_cifar_is_named(tmp_path):
    with pytest.raises(DataError, match="train has 0 classes, not 10: give the folder of data_b"):
        dataset.read(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    with pytest.raises(DataError, match=r"data_batch_1.bin cannot be read"):
        dataset.read(tmp_path)
    for k in range(1, 6):
        (tmp_path / f"data_batch_{k}.bin").write_bytes(bytes(3000))
    with pytest.raises(DataError, match="3000 bytes, not of 3073 each"):
        dataset.read(tmp_path)


def test_recompressed_pictures_are_close_and_stand_where_they_stood():
    smooth = np.linspace(40, 200, 32)[:, None, None] + np.array([0.0, 10.0, -10.0])
    image = np.broadcast_to(smooth, (32, 32, 3)).astype(np.uint8)
    noise = RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    found = dataset.recompressed(
        dataset.Split(np.stack([image, noise]), np.array([3, 5], np.int32))
    )
    assert found.labels.tolist() == [3, 5] and found.images.dtype == np.uint8
    away = np.abs(found.images.astype(int) - np.stack([image, noise]))
    assert away[0, 6:-6].max() <= 8  # the roll makes an edge where the picture's ends meet
    assert 20 < away[1].mean() < 80  # 4:2:0 takes most of the noise's colour


def test_what_is_no_picture_is_named(tmp_path):
    for name in NAMES:
        (tmp_path / "train" / name).mkdir(parents=True)
    (tmp_path / "train" / "cat" / ".DS_Store").write_bytes(b"Bud1")
    with pytest.raises(DataError, match="cat/.DS_Store is no picture that can be read"):
        dataset.read(tmp_path)


def patches(size: int, window: int = 3, stride: int = 2) -> list[slice]:
    """Windows that begin inside, the last clipped, as many as the program's ceil gives."""
    count = int(np.ceil((size - window) / stride)) + 1
    return [slice(i * stride, min(i * stride + window, size)) for i in range(count)]


def slow_pool(x: np.ndarray, reduce) -> np.ndarray:
    rows = [
        [reduce(x[:, r, c], axis=(1, 2)) for c in patches(x.shape[2])] for r in patches(x.shape[1])
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


@pytest.mark.parametrize("size", [8, 7])
def test_average_pooling_divides_by_what_lies_in_the_image(size):
    x = RNG.normal(size=(2, size, size, 3)).astype(np.float32)
    found = jax.jit(lambda x: nets.avg_pool(x, window=3, stride=2, ceil=True))(x)
    np.testing.assert_allclose(found, slow_pool(x.astype(float), np.mean), rtol=1e-5, atol=1e-6)


ACTIVE = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}


def slow_logits(net, activation: str, params, x: np.ndarray) -> np.ndarray:
    for row in net:
        kernel, bias = (np.asarray(params[row.name][name], float) for name in ("kernel", "bias"))
        if row.pool:
            padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (1, 2))
            x = np.einsum("bhwcij,ijco->bhwo", windows, kernel, optimize=True) + bias
        else:
            x = x.reshape(len(x), -1) @ kernel + bias
        x = ACTIVE[activation](x) if row.active else x
        if row.pool:
            x = slow_pool(x, {"max": np.max, "avg": np.mean}[row.pool])
        if row.norm:
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
            x = x * (1 + 5e-5 / 9 * (windows**2).sum((-2, -1))) ** -0.75
    return x


@pytest.mark.parametrize("activation", ACTIVE)
@pytest.mark.parametrize(("name", "parameters"), [("18pct", 89_578), ("80sec", 145_578)])
def test_nets_are_those_of_the_layer_files(name, parameters, activation):
    net = NETS[name]
    params = start(Recipe(net), seed=0).params
    assert sum(x.size for x in jax.tree.leaves(params)) == parameters
    for row in net:
        kernel = np.asarray(params[row.name]["kernel"])
        assert (
            kernel.std() == pytest.approx(row.std, rel=0.1) and not params[row.name]["bias"].any()
        )
    # Weights that let the normalization show: those of conv1 as large as in a net that has learned.
    params["conv1"]["kernel"] = 100 * params["conv1"]["kernel"]
    x = RNG.normal(0, 60, (2, 32, 32, 3)).astype(np.float32)
    found = jax.jit(nets.logits, static_argnums=(0, 1))(net, activation, params, x)
    expected = slow_logits(net, activation, params, x.astype(float))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_without_regularization_there_is_neither_decay_nor_normalization():
    net = nets.without_regularization(NETS["18pct"])
    assert [row.name for row in net] == ["conv1", "conv2", "conv3", "fc10"]  # four layers
    assert not any(row.decay or row.norm for row in net)


def test_each_epoch_has_its_own_order_of_whole_batches():
    first, again, second = order(3, 0, 300), order(3, 0, 300), order(3, 1, 300)
    assert first.shape == (2, 128) and len(np.unique(first)) == 256
    np.testing.assert_array_equal(first, again)
    assert (first != second).any() and (first != order(4, 0, 300)).any()


LINEAR = (Row("fc10", 10, 0.0001, 0.5, active=False),)  # its gradient can be written down
RATE = 1e-5


def slow_updates(data: dataset.Split, params, places: np.ndarray):
    """Train a matrix by hand: the paper's update, twice the rate for biases, no decay of theirs."""
    x = (data.images - data.mean().astype(float)).reshape(len(data.images), -1)
    w, b = (np.asarray(params["fc10"][name], float) for name in ("kernel", "bias"))
    vw, vb, losses = np.zeros_like(w), np.zeros_like(b), []
    for row in places:
        scores = x[row] @ w + b
        probs = np.exp(scores - scores.max(1, keepdims=True))
        probs /= probs.sum(1, keepdims=True)
        losses.append(-np.log(probs[np.arange(len(row)), data.labels[row]]).mean())
        error = (probs - np.eye(10)[data.labels[row]]) / len(row)
        vw = 0.9 * vw - 0.5 * RATE * w - RATE * x[row].T @ error
        vb = 0.9 * vb - 2 * RATE * error.sum(0)
        w, b = w + vw, b + vb
    return w, b, np.mean(losses)


def test_the_update_is_the_programs():
    data = split(300)
    places = np.concatenate([order(0, epoch, 300) for epoch in range(2)])
    recipe = Recipe(LINEAR)
    state = start(recipe, seed=1)
    w, b, loss = slow_updates(data, state.params, places)
    placed = on_device(data, data.mean())
    scanned, sums = jax.jit(training._many_steps, static_argnums=0)(
        recipe, jax.tree.map(jnp.copy, state), placed, jnp.asarray(places), jnp.float32(RATE)
    )
    state, found = train(recipe, state, placed, places, RATE)
    np.testing.assert_allclose(state.params["fc10"]["kernel"], w, rtol=2e-4, atol=1e-8)
    np.testing.assert_allclose(state.params["fc10"]["bias"], b, rtol=2e-4, atol=1e-10)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    # As accelerators run them, in one loop.
    for one, other in zip(jax.tree.leaves(scanned), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-8)
    assert float(sums["loss"].sum()) / 512 == pytest.approx(loss, rel=1e-5)


def test_evaluation_counts_every_picture_once(monkeypatch):
    monkeypatch.setattr(training, "EVALUATED", 40)
    data = split(130)
    recipe = Recipe(LINEAR)
    params = start(recipe, seed=1).params
    placed = on_device(data, data.mean())
    found = training.evaluate(recipe, params, placed)
    x = (data.images - data.mean().astype(float)).reshape(130, -1)
    scores = x @ np.asarray(params["fc10"]["kernel"], float)
    assert found["top1_error"] == pytest.approx((scores.argmax(1) != data.labels).mean())
