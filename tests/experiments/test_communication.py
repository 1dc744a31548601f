"""What crosses between devices: counted in the program that XLA gets and in what it makes of it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from alexnet_jax.net import resolving
from alexnet_jax.net.layers import Convolution
from configs import ilsvrc2012
from experiments.communication.hlo_collectives import Collective, added, collectives
from experiments.communication.step_program import lowered_step, minimum

BATCH = 8


def narrow():
    config = ilsvrc2012.get_config()
    config.batch_size = BATCH
    config.model.width, config.model.classes = 0.125, 10
    return config


def lowered_on(mesh, config):
    config.mesh.data, config.mesh.group = mesh
    return lowered_step(config)[1]


def asked_of(lowered):
    return collectives(lowered.as_text(dialect="hlo", debug_info=True))


def asked_and_made(config, mesh):
    lowered = lowered_on(mesh, config)
    return asked_of(lowered), collectives(lowered.compile().as_text())


def rows(found: list[Collective]) -> list[tuple]:
    return [(one.layer, one.kind, one.backward, one.received_bytes / BATCH) for one in found]


# pool2 of a column is 13 x 13 x 128, pool5 6 x 6 x 128, fc6 2048 wide; a float32 has 4 bytes.
FULL = [
    ("conv3", "all-gather", False, 13 * 13 * 128 * 4),
    ("fc6", "all-gather", False, 6 * 6 * 128 * 4),
    ("fc7", "all-gather", False, 2048 * 4),
    ("fc8", "all-reduce", False, 1000 * 4),
    ("fc7", "reduce-scatter", True, 2048 * 4),
    ("fc6", "reduce-scatter", True, 6 * 6 * 128 * 4),
    ("conv3", "reduce-scatter", True, 13 * 13 * 128 * 4),
]


@pytest.mark.parametrize(("dtype", "share"), [("float32", 1), ("bfloat16", 0.5)])
def test_the_full_net_asks_for_what_the_paper_needs(dtype, share):
    config = ilsvrc2012.get_config()
    config.batch_size, config.model.compute_dtype = BATCH, dtype
    config.mesh.data, config.mesh.group = 1, 2
    net, lowered = lowered_step(config)
    found = asked_of(lowered)
    of_logits = FULL[3]  # float32 always
    assert rows(found) == [row if row is of_logits else (*row[:3], row[3] * share) for row in FULL]
    kinds = [kind for one in found for kind, _ in one.shapes]
    assert kinds == ["f32" if share == 1 or row is of_logits else "bf16" for row in FULL]
    needed = sum(forward + backward for forward, backward in minimum(net, 2).values())
    assert sum(one.received_bytes for one in found) / BATCH == needed


def test_what_goes_into_the_bottleneck_is_counted_to_it():
    config = ilsvrc2012.get_config()
    config.batch_size, config.model.arch, config.model.width = BATCH, "six_conv_fall2011", 0.125
    config.mesh.data, config.mesh.group = 1, 2
    net, lowered = lowered_step(config)
    found = asked_of(lowered)
    by_layer = {name: [0.0, 0.0] for name in minimum(net, 2)}
    for one in found:
        by_layer[one.layer][one.backward] += one.received_bytes / BATCH
    assert by_layer["bottleneck"] == [2 * 256 * 4 / 2, 2 * 256 * 4 / 2]
    assert {name: tuple(sums) for name, sums in by_layer.items()} == minimum(net, 2)


@pytest.mark.slow
def test_the_compiled_program_adds_nothing():
    asked, made = asked_and_made(narrow(), (1, 2))
    assert rows(made) == rows(asked)
    assert [row[:3] for row in rows(asked)] == [row[:3] for row in FULL]


@pytest.mark.slow
def test_columns_that_do_not_cross_meet_in_fc8_only():
    config = narrow()
    config.model.cross_columns = False
    asked, made = asked_and_made(config, (1, 2))
    assert rows(asked) == rows(made) == [("fc8", "all-reduce", False, 10 * 4)]


@pytest.mark.slow
def test_one_gradient_reduction_over_the_batch():
    config = narrow()
    asked, made = asked_and_made(config, (2, 1))
    assert {one.kind for one in asked} == {"all-reduce"}
    (reduction,) = made
    assert (reduction.kind, reduction.devices) == ("all-reduce", 2)
    net = resolving.resolve(config.model)
    widths = {name: net.features(name) for name in ("conv1", "conv2", "conv3", "conv4", "conv5")}
    fc = net.features("fc6")
    c1, c2, c3, c4, c5 = widths.values()
    weights = 2 * (363 * c1 + 25 * c1 * c2 + 18 * c2 * c3 + 9 * c3 * c4 + 9 * c4 * c5)
    weights += 2 * (36 * 2 * c5 * fc + 2 * fc * fc + fc * 10)
    biases = 2 * (c1 + c2 + c3 + c4 + c5 + 2 * fc) + 10
    scalars = 4  # images, loss, top-1 and top-5 of the log
    assert sum(math.prod(shape) for _, shape in reduction.shapes) == weights + biases + scalars


@pytest.mark.slow
def test_both_axes_together():
    asked, made = asked_and_made(narrow(), (2, 2))
    assert added(asked, made) == {}
    columns = [one for one in made if one.stride == 1]
    assert [row[:3] for row in rows(columns)] == [row[:3] for row in FULL]
    (reduction,) = (one for one in made if one.stride == 2)
    assert reduction.kind == "all-reduce"


def test_a_grouped_convolution_is_caught(devices):
    # The partitioner replicates its operands: the reason why the net has none.
    mesh = jax.make_mesh((1, 2), ("data", "group"), (AxisType.Auto,) * 2, devices=devices[:2])

    def grouped(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=2,
        )

    over_channels = NamedSharding(mesh, P(None, None, None, "group"))
    arrays = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=over_channels)
        for shape in ((8, 13, 13, 32), (3, 3, 16, 32))
    ]
    lowered = jax.jit(grouped, out_shardings=over_channels).lower(*arrays)
    asked = asked_of(lowered)
    assert asked == []
    assert added(asked, collectives(lowered.compile().as_text())) != {}


def test_an_exchange_too_many_is_caught(monkeypatch):
    convolve = Convolution.__call__

    def gather_first(self, xs):
        if isinstance(xs, list) and jax.typeof(xs[0]).manual_axis_type.varying:
            others = jax.lax.all_gather(xs[0], "group")
            xs = [xs[0] + 0 * others[0]]
        return convolve(self, xs)

    monkeypatch.setattr(Convolution, "__call__", gather_first)
    asked = asked_of(lowered_on((1, 2), narrow()))
    assert [row[:3] for row in rows(asked)] != [row[:3] for row in FULL]
    assert ("conv2", "all-gather", False) in [row[:3] for row in rows(asked)]


def test_reads_what_a_gpu_writes():
    # Asynchronous starts carry their operands too, and groups may be written as an iota.
    program = """\
ENTRY %main (p: f32[8]) -> f32[8] {
  %a = (f32[4,2]{1,0}, f32[8,2]{1,0}) all-gather-start(%p), replica_groups=[2,2]<=[2,2]T(1,0), \
metadata={op_name="jit(step)/jvp()/shard_map/fc6/all_gather"}
  %b = f32[8]{0} all-reduce-start(%p), replica_groups={{0,1},{2,3}}, \
metadata={op_name="jit(step)/transpose(jvp())/shard_map/fc7/psum"}
}
"""
    gather, reduce = collectives(program)
    assert gather == Collective("all-gather", "fc6", False, 2, 2, (("f32", (8, 2)),))
    assert gather.received_bytes == 32
    assert dataclasses.astuple(reduce)[:5] == ("all-reduce", "fc7", True, 2, 1)
    assert reduce.received_bytes == 32
    with pytest.raises(ValueError, match="groups of an unknown form"):
        collectives("  %c = f32[8]{0} all-reduce(%p), channel_id=1")
