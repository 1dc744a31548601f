"""Every named net against the numbers that experiments.parity stored from PyTorch in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net import architecture, variants
from experiments.parity import cases, numpy_code2012

pytestmark = pytest.mark.slow

LIMIT = cases.LIMIT
# Those of small pictures are compared with NumPy in test_small_pictures.py.
ROWS = [pair for pair in cases.SEEDS if pair[0] in variants.ARCHITECTURES]


@functools.lru_cache(maxsize=1)
def inputs(name: str, columns: int):
    seed = cases.SEEDS[name, columns]
    return cases.inputs(cases.net_of(name, columns), seed)


def reference_of(name: str, columns: int) -> dict[str, np.ndarray]:
    with np.load(cases.stored(name, columns)) as file:
        reference = dict(file)
    # Not the net's business: were this to fail, NumPy would draw other numbers from the same seed.
    drawn = cases.last_drawn(*inputs(name, columns))
    np.testing.assert_array_equal(drawn, reference.pop("inputs"))
    return reference


@pytest.mark.parametrize(("name", "columns"), ROWS, ids=lambda value: str(value))
def test_logits_and_gradients_are_the_references(name, columns):
    reference = reference_of(name, columns)
    net = cases.net_of(name, columns)
    params, images, labels = inputs(name, columns)
    if (name, columns) in cases.WITH_GRADIENTS:
        ours = cases.summary(*cases.answer_of(net, params, images, labels))
        assert len(reference) == 1 + 3 * 2 * len(net.layers)
        for key, samples in reference.items():  # none is trivially right
            if key.endswith("/samples"):
                assert np.count_nonzero(samples) > 0.1 * samples.size, key
    else:
        ours = {"logits": cases.logits_of(net, params, images)}
    assert ours.keys() == reference.keys()
    assert reference["logits"].std() > 1
    errors = cases.errors(ours, reference)
    assert not {key: error for key, error in errors.items() if not error < LIMIT}  # NaN too


def test_products_are_of_whole_float32_on_every_machine(monkeypatch):
    taken = []

    def net(x):
        taken.append(jax.config.jax_default_matmul_precision)
        return jnp.zeros((2, 3)), None

    monkeypatch.setattr(cases, "structure_of", lambda arch: None)
    monkeypatch.setattr(cases, "merge", lambda structure, params: net)
    arguments = (None, {}, jnp.zeros(2), jnp.zeros(2, jnp.int32))
    cases.logits_of(*arguments[:3])
    cases.answer_of(*arguments)
    assert taken == ["highest", "highest"]


def with_layer(net: architecture.Architecture, name: str, *then: str) -> architecture.Architecture:
    layers = [
        dataclasses.replace(layer, then=then) if layer.name == name else layer
        for layer in net.layers
    ]
    return dataclasses.replace(net, layers=tuple(layers))


def with_part(net: architecture.Architecture, part: str, **fields) -> architecture.Architecture:
    return dataclasses.replace(net, **{part: dataclasses.replace(getattr(net, part), **fields)})


MISTAKES = {
    "norm after the ReLU": (
        "code2012",
        lambda net: with_layer(net, "conv1", "activation", "norm", "pool"),
    ),
    "alpha not divided": ("code2012", lambda net: with_part(net, "lrn", alpha_over_n=False)),
    "no spatial norm": ("code2012", lambda net: with_part(net, "spatial_norm", enabled=False)),
    "not halved at test": ("code2012", lambda net: with_part(net, "dropout", inverted=True)),
    "norm within a column": ("caffe", lambda net: with_part(net, "lrn", scope="column")),
    "k of the paper": ("caffe", lambda net: with_part(net, "lrn", k=2.0)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_net_is_far_off(mistake):
    name, change = MISTAKES[mistake]
    net = change(cases.net_of(name))
    params, images, _ = inputs(name, 2)
    logits = cases.logits_of(net, params, images)
    reference = reference_of(name, 2)["logits"]
    assert cases.relative_error(logits, reference) > 100 * LIMIT


def test_numpys_code2012_is_pytorchs():
    params, images, _ = inputs("code2012", 2)
    logits = numpy_code2012.logits(params, images)
    reference = reference_of("code2012", 2)["logits"]  # stored as float32
    assert cases.relative_error(logits, reference) < 1e-7
