"""Averages of nets, fitted weights and the counting of errors, against sorts and brute force."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.inference import ensemble
from alexnet_jax.inference.comparison import EQUAL, FIT, compare, table, weights_of
from alexnet_jax.inference.predictions import Predictions
from alexnet_jax.step import metrics

NETS, IMAGES, CLASSES = 3, 301, 12


def draw(seed=0, decimals=None, sharpness=(1.0, 0.6, 0.2)):
    """Return probabilities (nets, images, classes) float32 of better and worse nets, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, IMAGES).astype(np.int32)
    logits = rng.standard_normal((NETS, IMAGES, CLASSES))
    logits += np.array(sharpness)[:, None, None] * np.eye(CLASSES)[labels]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return (p if decimals is None else p.round(decimals)).astype(np.float32), labels


def slow_ranks(probabilities, labels):
    """Sort each row, best first, the smaller class first among equals."""
    order = [sorted(range(CLASSES), key=lambda c: (-row[c], c)) for row in probabilities]
    return np.array([row.index(label) for row, label in zip(order, labels, strict=True)])


@pytest.mark.parametrize("decimals", [None, 1])
def test_ranks_are_those_of_a_sort_and_of_the_metrics_in_training(decimals):
    (p, *_), labels = draw(decimals=decimals)
    rank = ensemble.ranks(p, labels)
    np.testing.assert_array_equal(rank, slow_ranks(p, labels))
    if decimals is None:
        sums = metrics.sums(jnp.log(p), jnp.asarray(labels), jnp.ones(IMAGES))
        assert float(sums["top1"]) == (rank >= 1).sum() and float(sums["top5"]) == (rank >= 5).sum()


def test_what_is_not_a_number_is_wrong():
    p = np.full((1, CLASSES), np.nan, np.float32)
    assert ensemble.ranks(p, np.zeros(1, np.int32)) == CLASSES


def test_the_interval_is_the_bootstraps():
    rng = np.random.default_rng(1)
    wrong = np.arange(1000) < 407
    drawn = [wrong[rng.integers(0, 1000, 1000)].mean() for _ in range(20_000)]
    low, high = ensemble.interval(407, 1000)
    np.testing.assert_allclose((low, high), np.percentile(drawn, (2.5, 97.5)), atol=1.5e-3)
    assert ensemble.interval(0, 10) == [0, 0] and ensemble.interval(10, 10) == [1, 1]


def predictions(p, labels) -> Predictions:
    names = tuple(f"net{k}" for k in range(len(p)))
    files = tuple(f"{k}.jpg" for k in range(len(labels)))
    return Predictions(
        nets=names,
        views=(10,) * len(p),
        resize=("aspect/area",) * len(p),
        class_names=tuple(map(str, range(CLASSES))),
        files=files,
        labels=labels,
        probabilities=p,
    )


@pytest.mark.parametrize("weights", [EQUAL, [0.5, 0.25, 0.25]])
def test_nets_together_are_the_average_by_hand(weights):
    p, labels = draw()
    *alone, together = compare(predictions(p, labels), weights)
    shares = [1 / 3] * 3 if weights == EQUAL else weights
    mixed = sum(w * own.astype(np.float64) for w, own in zip(shares, p, strict=True))
    for row, own in zip([*alone, together], [*p, mixed], strict=True):
        rank = slow_ranks(own, labels)
        loss = -np.log(own[np.arange(IMAGES), labels].astype(np.float64)).mean()
        assert row["images"] == IMAGES and row["views"] == 10
        np.testing.assert_allclose(row["loss"], loss, rtol=1e-6)
        assert row["top1_error"] == (rank >= 1).mean() and row["top5_error"] == (rank >= 5).mean()
        assert row["top1_interval"][0] < row["top1_error"] < row["top1_interval"][1]
    assert [row["net"] for row in alone] == ["net0", "net1", "net2"]
    assert together["net"] == "together" and together["weights"] == pytest.approx(shares)
    said = table([*alone, together]).splitlines()
    assert len(said) == 5 and f"{100 * together['top5_error']:.2f} [" in said[-1]


def test_one_net_has_one_row():
    p, labels = draw()
    (row,) = compare(predictions(p[:1], labels), EQUAL)
    assert row["net"] == "net0" and "weights" not in row


def test_a_net_at_two_checkpoints_is_together_too():
    p, labels = draw()
    twice = dataclasses.replace(predictions(p[:2], labels), nets=("net0", "net0"))
    assert [row["net"] for row in compare(twice, EQUAL)] == ["net0", "net0", "together"]
    found = [row["net"] for row in compare(twice, FIT)]
    assert found == ["net0", "net0", "together, equal weights", "together"]


def test_fitted_weights_are_the_best_that_no_single_change_betters():
    p, labels = draw()
    weights = ensemble.fitted(p, labels)
    np.testing.assert_allclose(sum(weights), 1)

    def errors(mix):
        rank = slow_ranks(np.tensordot(mix, p.astype(np.float64), 1), labels)
        return (rank >= 5).sum(), (rank >= 1).sum()

    found = errors(weights)
    assert found < errors([1 / 3] * 3)
    grid = np.linspace(0, 1, 6)
    tried = [errors(mix) for mix in itertools.product(grid, repeat=3) if any(mix)]
    assert found[0] <= np.quantile([top5 for top5, _ in tried], 0.02)
    assert weights[0] > weights[2]  # the net that knows more


def test_a_net_that_knows_nothing_gets_no_weight_or_little():
    p, labels = draw(sharpness=(2.0, 2.0, 0.0))
    weights = ensemble.fitted(p, labels)
    assert weights[2] < 0.2 and min(weights[:2]) > 0


def test_fitted_on_one_half_and_judged_on_the_other():
    p, labels = draw()
    *alone, equal, best = compare(predictions(p, labels), FIT)
    assert {row["images"] for row in (*alone, equal, best)} == {150}
    assert best["weights"] == ensemble.fitted(p[:, ::2], labels[::2])
    assert equal["net"] == "together, equal weights" and equal["weights"] == [1 / 3] * 3
    mixed = np.tensordot(best["weights"], p[:, 1::2].astype(np.float64), 1)
    assert best["top1_error"] == (slow_ranks(mixed, labels[1::2]) >= 1).mean()


def test_a_weight_for_each_net():
    p, labels = draw()
    with pytest.raises(ConfigError, match="2 numbers for 3 nets"):
        compare(predictions(p, labels), [0.5, 0.5])


def test_weights_are_words_or_numbers():
    assert weights_of("equal") == EQUAL and weights_of("fit") == FIT
    assert weights_of("2,1,1") == [0.5, 0.25, 0.25] and weights_of("3") == [1]
    for text in ("", "0,0", "1,-1", "1,inf", "nan", "one"):
        with pytest.raises(ConfigError, match="--weights is equal, fit, or numbers from 0 up"):
            weights_of(text)
