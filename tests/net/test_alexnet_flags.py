"""alexnet: columns that do not meet, dropout's masks, lower precision, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net.parameters import merge, params_of, structure_of
from tests.support.narrow_nets import draw_images, draw_params, fast_jit, make_arch, run

SMALL = 67  # pixels: 15 -> 7 -> 3 -> 1


@pytest.mark.parametrize("cross", [False, True])
def test_fc7_reads_the_other_column_only_if_they_cross(cross):
    net = make_arch(cross_columns=cross, image_size=SMALL)
    params, images = draw_params(net), draw_images(size=SMALL)
    _, before = run(net, params, images)
    for layer in params.values():  # all that belongs to column 1 becomes something else
        for value in layer.values():
            if value.shape[0] == 2:
                value[1] *= 1.5
    _, after = run(net, params, images)
    assert np.array_equal(before["fc7"][0], after["fc7"][0]) is not cross
    assert not np.array_equal(before["fc7"][1], after["fc7"][1])
    assert not np.array_equal(before["fc8"], after["fc8"])  # the sum is of both
    for name in ("conv1", "norm1", "conv2", "norm2", "pool2"):  # never crosses that early
        np.testing.assert_array_equal(before[name][0], after[name][0])


def masks(rate=0.3, seed=7, **fields):
    """Run in training; return where dropout6 and dropout7 let pass, each (columns, B, 128)."""
    examples = fields.pop("examples", None)
    batch = 4 if examples is None else len(examples)
    net = make_arch(**{"dropout__rate": rate, "image_size": SMALL, **fields})
    params = draw_params(net)
    for name in ("fc6", "fc7"):
        params[name]["kernel"][:] = np.abs(params[name]["kernel"]) * 0.01
        params[name]["bias"][:] = 1  # every neuron is on, so a zero is a mask's
    more = {} if examples is None else {"examples": np.asarray(examples, np.int32)}
    _, kept = run(
        net,
        params,
        draw_images(batch, SMALL),
        train=True,
        dropout_key=jax.random.key(seed),
        **more,
    )
    passed = []
    for number in "67":
        before, after = kept[f"relu{number}"], kept[f"dropout{number}"]
        assert (before > 0).all()
        # A mask and nothing else: what passes is not made larger, as inverted dropout would.
        np.testing.assert_array_equal(after, np.where(after > 0, before, 0))
        passed.append(after > 0)
    return passed


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_dropout_drops_its_rate_in_training(rate):
    for passed in masks(rate):
        error = 5 * np.sqrt(rate * (1 - rate) / passed.size)
        assert abs(passed.mean() - (1 - rate)) < error
        # Each image, column and neuron for itself.
        for axis in range(3):
            assert np.ptp(passed.mean(axis)) > 0


def test_masks_differ_by_layer_column_and_step():
    now, later = masks(), masks(seed=8)
    patterns = [m[c].ravel() for m in (*now, *later) for c in range(2)]
    for i, one in enumerate(patterns):
        for other in patterns[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(one.size)
    again = masks()
    np.testing.assert_array_equal(now, again)


def test_a_columns_masks_do_not_depend_on_how_many_columns_there_are():
    both = masks()
    alone = masks(columns=1, width=0.03125)  # 128 neurons in the one column, as in each of two
    np.testing.assert_array_equal([m[:1] for m in both], alone)


def test_masks_follow_an_images_place_in_the_global_batch():
    first, last = masks(), masks(examples=[4, 5, 2, 0])
    for one, other in zip(first, last, strict=True):
        np.testing.assert_array_equal(other[:, 2], one[:, 2])
        np.testing.assert_array_equal(other[:, 3], one[:, 0])
        assert not np.array_equal(other[:, 1], one[:, 1])


def test_training_without_a_dropout_key():
    net = make_arch(image_size=SMALL)
    with pytest.raises(ValueError, match="needs dropout_key"):
        run(net, draw_params(net), draw_images(1, SMALL), train=True)


def test_without_dropout_training_is_testing():
    net = make_arch(dropout__rate=0.0, image_size=SMALL)
    params, images = draw_params(net), draw_images(2, SMALL)
    train, test = run(net, params, images, train=True)[0], run(net, params, images)[0]
    np.testing.assert_array_equal(train, test)


def test_bfloat16_is_the_activations_only():
    net, exact = (make_arch(compute_dtype=d, image_size=SMALL) for d in ("bfloat16", "float32"))
    params, images = draw_params(exact), draw_images(size=SMALL)
    logits, kept = run(net, params, images)
    expected, _ = run(exact, params, images)
    assert kept.pop("fc8").dtype == jnp.float32  # as the logits that it is
    assert {value.dtype for value in kept.values()} == {jnp.dtype(jnp.bfloat16)}
    assert logits.dtype == np.float32
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    assert 1e-6 < error < 0.05  # rounded, and not broken
    state = params_of(structure_of(net))
    assert {value.dtype for value in jax.tree.leaves(state)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("fields", [{}, {"columns": 1}, {"compute_dtype": "bfloat16"}])
def test_every_parameter_gets_a_gradient(fields):
    net = make_arch(image_size=SMALL, **fields)
    structure, params = structure_of(net), draw_params(net)

    def loss(params, images):
        logits, _ = merge(structure, params)(images, train=True, dropout_key=jax.random.key(0))
        return jax.nn.log_softmax(logits)[:, 0].mean()

    grads = fast_jit(jax.grad(loss))(params, draw_images(size=SMALL))
    for layer, values in grads.items():
        for name, grad in values.items():
            assert grad.dtype == jnp.float32
            assert np.isfinite(grad).all() and np.abs(grad).max() > 0, (layer, name)
