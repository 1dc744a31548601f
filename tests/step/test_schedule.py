"""Rates over a run: plateau, epochs and dexp, and those of single layers and of biases."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.step import schedule
from alexnet_jax.step.optimizer import LearningRates
from configs import ilsvrc2012

LAYERS = ("conv1", "norm1", "fc8")


def make(**changes) -> ConfigDict:
    config = ilsvrc2012.get_config()
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return config


def rate_at(config, *, step=0, epoch=0, steps=100, plateau=None) -> float:
    return rates_at(config, step=step, epoch=epoch, steps=steps, plateau=plateau).base


def rates_at(config, layers=LAYERS, *, step=0, epoch=0, steps=100, plateau=None) -> LearningRates:
    return schedule.learning_rates(
        config, layers, step=step, epoch=epoch, steps=steps, plateau=plateau
    )


def rates_after(errors: list[float], **options) -> list[float]:
    """Return the rate after each validation error."""
    config = make(**{f"schedule__{name}": value for name, value in options.items()})
    plateau = schedule.make_plateau(config.schedule)
    after = jax.jit(lambda state, error: schedule.after_validation(plateau, state, error))
    state, rates = plateau.init(jnp.zeros(())), []
    for error in errors:
        state = after(state, jnp.float32(error))
        rates.append(rate_at(config, plateau=state))
    return rates


NAN, A, B, C, D = math.nan, 0.01, 0.001, 0.0001, 0.00001


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        # .8 three times without getting better: a drop, and the count begins again.
        ([0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8], [A, A, A, A, B, B, B]),
        # Three drops, and never a fourth.
        ([0.5] * 16, [A] * 3 + [B] * 3 + [C] * 3 + [D] * 7),
        # Improvement is relative: below .995 of the best. .797 is not, .7959 is.
        ([0.8, 0.797, 0.797, 0.797], [A, A, A, B]),
        ([0.8, 0.797, 0.797, 0.7959, 0.7959, 0.7959], [A] * 6),
        # Small steps that add up to an improvement over the best do count.
        ([0.8, 0.798, 0.7965, 0.795, 0.795, 0.795], [A] * 6),
        # Not a number is no improvement, and does not become the best.
        ([0.8, NAN, NAN, NAN], [A, A, A, B]),
        ([0.8, NAN, 0.7, NAN, 0.7, 0.6], [A] * 6),
    ],
)
def test_plateau(errors, expected):
    np.testing.assert_allclose(rates_after(errors, patience=3), expected, rtol=1e-5)


def test_plateau_takes_its_numbers_from_the_config():
    found = rates_after([0.5] * 6, patience=1, factor=0.5, drops=2)
    np.testing.assert_allclose(found, [0.01, 0.005, 0.0025, 0.0025, 0.0025, 0.0025], rtol=1e-5)
    assert rates_after([0.5] * 6, patience=1, drops=0) == [0.01] * 6


def test_epochs():
    config = make(schedule__kind="epochs")  # 25, 51, 79
    expected = {0: A, 24: A, 25: B, 50: B, 51: C, 78: C, 79: D, 89: D}
    for epoch, rate in expected.items():
        assert rate_at(config, epoch=epoch) == pytest.approx(rate, rel=1e-9)


def test_dexp():
    # Net 170 of the released program: dexp[250,0,4] from .01, printed by it as these four.
    config = make(schedule__kind="dexp")
    found = [rate_at(config, step=step, steps=100) for step in range(100)]
    printed = np.repeat([0.01, 0.001587, 0.000252, 0.00004], 25)
    np.testing.assert_allclose(found, printed, rtol=5e-4)
    assert found[-1] == pytest.approx(0.01 / 250, rel=1e-9)
    ratios = np.unique(np.round(np.array(found[1:]) / found[:-1], 9))
    np.testing.assert_allclose(ratios, [250 ** (-1 / 3), 1.0], rtol=1e-8)


def test_dexp_of_stretches_that_do_not_divide():
    config = make(schedule__kind="dexp", schedule__dexp_factor=1000.0)
    found = [rate_at(config, step=step, steps=10) for step in range(10)]
    np.testing.assert_allclose(found, [A] * 3 + [B] * 2 + [C] * 3 + [D] * 2, rtol=1e-9)
    config = make(schedule__kind="dexp", schedule__dexp_steps=1)
    assert [rate_at(config, step=step, steps=3) for step in range(3)] == [0.01] * 3


def test_rates_without_rows_are_those_of_the_text():
    config = make(schedule__kind="epochs")
    for epoch, rate in {0: A, 25: B, 51: C, 79: D}.items():
        found = rates_at(config, epoch=epoch)
        everywhere = dict.fromkeys(LAYERS, pytest.approx(rate, rel=1e-9))
        assert found == (found.base, everywhere, everywhere)


def test_a_layers_last_row_that_has_come_holds_and_its_norm_goes_with_it():
    rows = (("conv1", 7, 0.0), ("fc8", 2, 3.0), ("conv1", 5, 0.5), ("conv2", 0, 9.0))
    config = make(schedule__kind="epochs", schedule__layers=rows)
    expected = {0: (1, 1), 1: (1, 1), 2: (1, 3), 4: (1, 3), 5: (0.5, 3), 6: (0.5, 3), 7: (0, 3)}
    for epoch, (conv1, fc8) in expected.items():
        found = rates_at(config, epoch=epoch)
        factors = {"conv1": conv1, "norm1": conv1, "fc8": fc8}
        by_layer = {layer: pytest.approx(A * factors[layer], rel=1e-9) for layer in LAYERS}
        assert found == (A, by_layer, by_layer)


@pytest.mark.parametrize(
    ("own", "drops", "expected"),  # of conv1's and fc8's biases at epochs 0, 25, 67 and 72
    [
        (0.0, True, [(A, A), (B, B), (D, C), (0, C)]),  # the weights'
        (0.02, True, [(2 * A, 2 * A), (2 * B, 2 * B), (2 * D, 2 * C), (0, 2 * C)]),
        (0.02, False, [(2 * A, 2 * A), (2 * A, 2 * A), (2 * A, 2 * A), (0, 2 * A)]),
        (0.0, False, [(A, A), (A, A), (A, A), (0, A)]),
    ],
)
def test_rates_of_biases(own, drops, expected):
    config = make(
        schedule__kind="epochs",
        schedule__layers=(("conv1", 67, 0.1), ("conv1", 72, 0.0)),
        optimizer__bias_learning_rate=own,
        optimizer__bias_drops=drops,
    )
    for epoch, pair in zip((0, 25, 67, 72), expected, strict=True):
        found = rates_at(config, epoch=epoch).biases
        np.testing.assert_allclose((found["conv1"], found["fc8"]), pair, rtol=1e-9)


@pytest.mark.parametrize(("images", "batch"), [(42, 8), (8, 42), (40, 8), (1, 1), (13, 13)])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_an_epoch_ends_with_the_step_that_sees_its_last_image(images, batch, every):
    epochs = schedule.Epochs(images, batch, 7, every)
    last = -(-7 * images // batch)
    assert epochs.steps == last
    for step in range(1, last + 1):
        seen, before = step * batch, (step - 1) * batch
        ended = [n for n in range(1, 8) if before < n * images <= seen]
        assert epochs.done(step) == seen // images
        assert epochs.passed(step) == pytest.approx(seen / images, abs=5e-5)
        wanted = bool(ended) and (seen // images % every == 0 or step == last)
        assert epochs.validates(step) == wanted
    assert not epochs.validates(0)


@pytest.mark.parametrize(("norm", "owner"), [("norm1", "conv1"), ("norm_conv6", "conv6")])
def test_a_norm_has_the_factor_of_its_convolution(norm, owner):
    config = make(schedule__kind="epochs", schedule__layers=((owner, 0, 0.5),))
    found = rates_at(config, (owner, norm, "fc8"))
    assert found.weights == pytest.approx({owner: A / 2, norm: A / 2, "fc8": A})
