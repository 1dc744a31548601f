"""metrics against a sort in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.step import metrics


def slow(log_probs, labels, mask):
    """Sort each row, best first, the smaller class first among equals; count misses."""
    total = {"images": 0.0, "loss": 0.0, "top1": 0.0, "top5": 0.0}
    for row, label, real in zip(log_probs.astype(np.float64), labels, mask, strict=True):
        if real:
            best = sorted(range(len(row)), key=lambda c: (-row[c], c))
            total["images"] += 1
            total["loss"] -= row[label]
            total["top1"] += label not in best[:1]
            total["top5"] += label not in best[:5]
    return total


def check(log_probs, labels, mask):
    arrays = (np.asarray(a) for a in (log_probs, labels, mask))
    found = jax.jit(metrics.sums)(log_probs, labels, mask)
    for name, value in slow(*arrays).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
    return {name: float(value) for name, value in found.items()}


def draw(batch, classes, decimals=None):
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((batch, classes))
    if decimals is not None:
        logits = logits.round(decimals)  # many equal
    labels = rng.integers(0, classes, batch).astype(np.int32)
    mask = (rng.random(batch) < 0.7).astype(np.float32)
    return jax.nn.log_softmax(jnp.asarray(logits, jnp.float32)), jnp.asarray(labels), mask


def test_sums_are_the_sorts():
    found = check(*draw(400, 12))
    assert 0 < found["top5"] < found["top1"] < found["images"] < 400


def test_of_equal_classes_the_smaller_is_better():
    check(*draw(400, 12, decimals=0))
    same = jnp.full((8, 8), -np.log(8), jnp.float32)
    found = check(same, jnp.arange(8, dtype=jnp.int32), np.ones(8, np.float32))
    assert found["top1"] == 7 and found["top5"] == 3


def test_fewer_classes_than_five():
    assert check(*draw(50, 3))["top5"] == 0


def test_padding_never_counts():
    log_probs, labels, _ = draw(6, 12)
    mask = jnp.asarray([1, 1, 0, 1, 0, 0], jnp.float32)
    expected = metrics.sums(
        log_probs[jnp.array([0, 1, 3])], labels[jnp.array([0, 1, 3])], mask[:3] * 0 + 1
    )
    broken = log_probs.at[jnp.array([2, 4, 5])].set(jnp.nan)
    for padded in (log_probs, broken, log_probs.at[2].set(-jnp.inf)):
        found = metrics.sums(padded, labels, mask)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)


def test_not_a_number_is_wrong():
    log_probs = jnp.full((2, 12), jnp.nan)
    found = metrics.sums(log_probs, jnp.zeros(2, jnp.int32), jnp.ones(2))
    assert (found["top1"], found["top5"]) == (2, 2)
    assert np.isnan(found["loss"])


def test_sums_add_and_become_means():
    batches = [draw(20, 12), draw(30, 7)]
    total = metrics.zeros()
    for batch in batches:
        total = jax.tree.map(jnp.add, total, metrics.sums(*batch))
    exact = [slow(*(np.asarray(a) for a in batch)) for batch in batches]
    whole = {name: exact[0][name] + exact[1][name] for name in exact[0]}
    means = metrics.means(jax.device_get(total))
    assert means.keys() == {"loss", "top1_error", "top5_error"}
    np.testing.assert_allclose(means["loss"], whole["loss"] / whole["images"], rtol=1e-5)
    np.testing.assert_allclose(means["top1_error"], whole["top1"] / whole["images"], rtol=1e-6)
    np.testing.assert_allclose(means["top5_error"], whole["top5"] / whole["images"], rtol=1e-6)


def test_zeros_are_sums_over_no_image():
    batch = draw(5, 7)
    nothing = metrics.sums(batch[0], batch[1], jnp.zeros(5))
    assert {k: float(v) for k, v in nothing.items()} == dict.fromkeys(metrics.zeros(), 0.0)
    assert all(value == 0 for value in metrics.zeros().values())
