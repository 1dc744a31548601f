"""One device or several: which mesh, where arrays live, and the same numbers everywhere."""

import copy
import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving
from alexnet_jax.net.parameters import merge, structure_of
from alexnet_jax.step import create, schedule, train_step
from alexnet_jax.step.state import TrainState
from alexnet_jax.system import sharding
from tests.support import tiny


@dataclasses.dataclass(frozen=True)
class Device:
    """What `make_mesh` looks at of a device."""

    id: int
    process_index: int
    slice_index: int
    platform: str = "cpu"


BATCH, STEPS = 8, 50
CLASSES = 5
DRAWN_ON = [(1, 1), (1, 2), (2, 2)]  # meshes; drawing compiles long


def mesh_config(data=-1, group="auto") -> ConfigDict:
    return ConfigDict({"data": data, "group": group, "cpu_devices": 4})


@pytest.mark.parametrize(
    ("data", "group", "columns", "expected"),
    [
        (-1, "auto", 2, (2, 2)),
        (-1, "auto", 1, (4, 1)),  # one column has nothing to place on a second device
        (-1, 1, 2, (4, 1)),
        (-1, 2, 2, (2, 2)),
        (-1, "2", 2, (2, 2)),  # as a flag gives it
        (1, "auto", 2, (1, 2)),
        (1, 1, 2, (1, 1)),
        (2, 1, 2, (2, 1)),
        (2, "auto", 2, (2, 2)),
        (3, 1, 1, (3, 1)),
    ],
)
def test_mesh_of_the_config(devices, data, group, columns, expected):
    mesh = sharding.make_mesh(mesh_config(data, group), columns, 12)
    assert mesh.axis_names == ("data", "group") and mesh.devices.shape == expected
    assert mesh.devices.ravel().tolist() == devices[: mesh.size]
    assert sharding.data_axis(mesh) == ("data" if expected[0] > 1 else None)
    assert sharding.group_axis(mesh) == ("group" if expected[1] > 1 else None)


@pytest.mark.parametrize("count", [3, 5])
def test_a_device_that_is_left_over_is_named(count):
    found = [Device(id_, 0, 0) for id_ in range(count)]
    with pytest.warns(UserWarning, match=f"uses {count - 1} of the {count} devices"):
        mesh = sharding.make_mesh(mesh_config(-1, 2), 2, 16, found)
    assert mesh.devices.shape == (count // 2, 2)


@pytest.mark.parametrize("group", [1, 2])
def test_of_several_machines_each_has_one_stretch_of_the_batch(group):
    # A TPU's devices by its wires, and GPUs of two machines ("slices"): in no order of processes.
    found = [Device(id_, id_ // 4, id_ // 4) for id_ in (0, 4, 1, 5, 2, 6, 3, 7)]
    mesh = sharding.make_mesh(mesh_config(-1, group), 2, 16, found)
    assert [device.id for device in mesh.devices.flat] == list(range(8))
    assert mesh.devices.shape == (8 // group, group)
    assert sharding.local_rows(mesh, 16) == slice(0, 8)  # this is process 0
    with pytest.raises(ConfigError, match="the processes have 4, 2 devices: give each as many"):
        sharding.make_mesh(mesh_config(-1, group), 2, 16, found[:3] + found[4:7])


@pytest.mark.parametrize(
    ("data", "group", "columns", "batch", "message"),
    [
        (3, 2, 2, 12, r"data=3 x group=2 does not fit on 4 device\(s\)"),
        (5, 1, 2, 10, r"data=5 x group=1 does not fit on 4 device\(s\)"),
        (0, 1, 2, 12, "data=0 x group=1 does not fit"),
        (-2, 1, 2, 12, "data=-2 x group=1 does not fit"),
        (-1, 1, 2, 6, "batch_size 6 does not divide over mesh.data=4 devices"),
        (1, 2, 1, 12, "mesh.group=2 needs as many columns; this net has 1"),
        (1, 3, 2, 12, "mesh.group=3 needs as many columns; this net has 2"),
    ],
)
def test_a_mesh_that_cannot_be_is_one_line(data, group, columns, batch, message):
    with pytest.raises(ConfigError, match=message) as error:
        sharding.make_mesh(mesh_config(data, group), columns, batch)
    assert "\n" not in str(error.value)


@functools.cache
def setting(data: int, group: int, norm: str = "lrn"):
    """Return config, net and mesh of a narrow net whose weights are large enough to learn."""
    std = {f"model__init__std__{name}": 0.1 for name in ("conv3", "conv4", "conv5", "fc6", "fc7")}
    config = tiny.config(
        pathlib.Path("nowhere"),
        model__classes=CLASSES,
        model__width=0.06,
        model__norm=norm,
        batch_size=BATCH,
        optimizer__learning_rate=0.002,
        mesh__data=data,
        mesh__group=group,
        **std,
    )
    net = resolving.resolve(config.model)
    return config, net, sharding.make_mesh(config.mesh, net.columns, BATCH)


def batch(seed: int) -> dict:
    """Return dark images in the first half and bright ones in the second, label and colour alike.

    So the two halves of the batch have statistics of their own.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, BATCH).astype(np.int32)
    level = np.repeat([20, 160], BATCH // 2)[:, None, None, None]
    noise = rng.integers(0, 30, (BATCH, 256, 256, 3))
    return {"image": (level + noise + 12 * labels[:, None, None, None]).astype(np.uint8)} | {
        "label": labels
    }


@functools.cache
def pixel_stats() -> dict:
    statistics = Statistics(np.full((256, 256, 3), 120, np.float32), np.ones(3), np.eye(3), 1)
    return make_pixel_stats(statistics, setting(1, 1)[0].data)


@functools.cache
def drawn(data: int, group: int, norm: str = "lrn") -> TrainState:
    return create.create_state(*setting(data, group, norm))


def placed(data: int, group: int, norm: str = "lrn") -> TrainState:
    """Return a copy, to be given up, of the initial state on this mesh."""
    like = create.abstract_state(*setting(data, group, norm))
    host = jax.device_get(drawn(1, 1, norm))
    return jax.tree.map(lambda x, where: jax.device_put(x, where.sharding), host, like)


@functools.cache
def trained(data: int, group: int, norm: str = "lrn", steps: int = STEPS):
    """Return the losses of these steps and the state after them, as host arrays."""
    config, net, mesh = setting(data, group, norm)
    step = train_step.make_train_step(config, net, mesh)
    state = placed(data, group, norm)
    losses = []
    for number in range(steps):
        state, loss = step(state, sharding.put_batch(mesh, batch(number % 3)), pixel_stats())
        losses.append(float(loss))
    return np.array(losses), jax.device_get((state.params, state.batch_stats, state.window))


@pytest.mark.slow
@pytest.mark.parametrize("shape", DRAWN_ON)
def test_each_device_of_a_group_holds_one_column(shape):
    state = drawn(*shape)
    velocity = state.opt_state.velocity
    for tree in (state.params, velocity):
        for layer, own in tree.items():
            for name, x in own.items():
                columns = (layer, name) != ("fc8", "bias")  # of no column: their sum's
                assert x.sharding.spec == (P("group") if columns else P())
                parts = {part.data.shape for part in x.addressable_shards}
                expected = (2 // shape[1], *x.shape[1:]) if columns else x.shape
                assert parts == {expected} and len(x.addressable_shards) == shape[0] * shape[1]


@pytest.mark.slow
def test_initial_parameters_have_the_same_bits_on_every_mesh():
    first, *others = (tiny.bits(jax.device_get(drawn(*shape))) for shape in DRAWN_ON)
    kernels = [name for name in first if "params" in name and "kernel" in name]
    assert len(kernels) == 8 and len({first[name] for name in kernels}) == 8
    assert all(other == first for other in others)


def forward(group: int) -> tuple[np.ndarray, dict]:
    """Return logits and what dropout lets through, in training, of one batch."""
    _, net, mesh = setting(1, group)
    state = drawn(1, group)
    images = np.random.default_rng(0).normal(0, 60, (BATCH, 67, 67, 3)).astype(np.float32)
    names = ("dropout6", "dropout7")

    def local(params, images, key):
        return merge(structure_of(net), params, {})(
            images,
            train=True,
            dropout_key=key,
            group_axis=sharding.group_axis(mesh),
            activations=names,
        )

    over_group = P(sharding.group_axis(mesh))
    run = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(sharding.local_specs(mesh, state.params), P(), P()),
        out_specs=(P(), dict.fromkeys(names, over_group)),
    )

    def training(params, images, key):  # as where gradients are asked for
        return jax.vjp(lambda params: run(params, images, key), params)[0]

    compiled = jax.jit(training, compiler_options=sharding.compiler_options(mesh))
    return jax.device_get(compiled(state.params, jnp.asarray(images), jax.random.key(7)))


def test_one_and_two_devices_have_the_same_logits_and_masks():
    (one, one_kept), (two, two_kept) = forward(1), forward(2)
    assert one.tobytes() == two.tobytes() and np.ptp(one) > 0
    for name in ("dropout6", "dropout7"):
        assert one_kept[name].tobytes() == two_kept[name].tobytes()
        first, second = one_kept[name] != 0
        assert 0.2 < first.mean() < 0.6  # dropout, and some that ReLU has at 0
        assert (first != second).any()  # each column has masks of its own


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "tolerance"),
    [((1, 2), 1e-6), ((2, 1), 1e-5), ((2, 2), 1e-5), ((4, 1), 1e-5)],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_training_is_the_same_on_every_mesh(shape, tolerance):
    expected, (params, _, window) = trained(1, 1)
    assert expected[-3:].mean() < expected[:3].mean() - 0.1  # it learns: there is much to differ in
    losses, (found, _, sums) = trained(*shape)
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    differences = jax.tree.map(relative_difference, found, params)
    assert max(jax.tree.leaves(differences)) < 1e-5, differences
    assert sums["images"] == window["images"] == BATCH * STEPS
    np.testing.assert_allclose(sums["loss"], expected.sum() * BATCH, rtol=1e-5)


@pytest.mark.slow
def test_batch_normalization_is_over_the_whole_batch():
    expected, (_, stats, _) = trained(1, 1, "batch", 2)
    losses, (_, found, _) = trained(2, 1, "batch", 2)
    assert len(jax.tree.leaves(stats)) == 4  # mean and variance after conv1 and conv2
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3), found, stats)


SWITCHES = {
    "data.mean": "centre",
    "data.divide_by": (2.0, 2.0, 2.0),
    "data.crop_form": "resized",
    "data.crop_chunk": 3,  # the second chunk lies on two devices
    "data.colour_rescale": True,
    "data.colour_unit": "deviation",
    "optimizer.bias_learning_rate": 0.004,
    "optimizer.decay_biases": True,
    "optimizer.rate_form": "outside",
    "schedule.layers": (("conv1", 0, 0.0), ("fc8", 0, 2.0)),
}


def trained_with_switches(data: int, group: int, steps: int = 4):
    """Return the losses and the state after steps with every switch of data and rates thrown."""
    plain, net, mesh = setting(data, group)
    config = copy.deepcopy(plain)
    config.update_from_flattened_dict(SWITCHES)
    statistics = Statistics(np.full((256, 256, 3), 120, np.float32), np.ones(3), np.eye(3), 1)
    pixel_stats = make_pixel_stats(statistics, config.data)
    step = train_step.make_train_step(config, net, mesh)
    state = placed(data, group)
    now = {"step": 0, "epoch": 0, "steps": steps, "plateau": state.plateau}
    rates = schedule.learning_rates(config, state.params, **now)
    rates = sharding.put_everywhere(mesh, jax.tree.map(np.float32, rates))
    opt_state = state.opt_state._replace(rates=rates)
    state = dataclasses.replace(state, opt_state=opt_state)
    losses = []
    for number in range(steps):
        state, loss = step(state, sharding.put_batch(mesh, batch(number)), pixel_stats)
        losses.append(float(loss))
    return np.array(losses), state


@pytest.mark.slow
def test_switches_and_rates_are_the_same_on_every_mesh():
    expected, one = trained_with_switches(1, 1)
    found, four = trained_with_switches(2, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    found, expected = map(jax.device_get, (four.params, one.params))
    for layer in expected.keys() - {"conv1"}:
        differences = jax.tree.map(relative_difference, found[layer], expected[layer])
        assert max(differences.values()) < 1e-5, (layer, differences)
    before = jax.device_get(drawn(1, 1).params)
    for state in (one, four):
        for name, x in state.params["conv1"].items():  # frozen
            assert np.asarray(x).tobytes() == before["conv1"][name].tobytes()
            assert not np.any(state.opt_state.velocity["conv1"][name])
        for rate in jax.tree.leaves(state.opt_state.rates):
            assert rate.shape == () and rate.sharding.is_fully_replicated
        assert float(state.opt_state.rates.weights["fc8"]) == np.float32(0.004)
        assert float(state.opt_state.rates.base) == np.float32(0.002)


def test_an_option_that_xla_does_not_know_is_left_out_with_one_warning(monkeypatch):
    mesh = setting(1, 1)[2]
    monkeypatch.setattr(sharding, "CPU_OPTIONS", {"xla_cpu_experimental_gone": "1"})
    sharding._cpu_options.cache_clear()
    with pytest.warns(UserWarning, match="left out.*'xla_cpu_experimental_gone'") as caught:
        assert sharding.compiler_options(mesh) == sharding.compiler_options(mesh) == {}
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    monkeypatch.undo()
    sharding._cpu_options.cache_clear()
    assert sharding.compiler_options(mesh) == sharding.CPU_OPTIONS
