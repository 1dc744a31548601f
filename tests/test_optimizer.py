"""The paper's update, the decoupled one, and the three schedules, against numbers of our own."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax import optimizer
from alexnet_jax.errors import ConfigError
from configs import ilsvrc2012

MOMENTUM, DECAY, STEPS = 0.9, 0.0005, 200
RATES = [0.01 * 0.1 ** (step // 50) for step in range(STEPS)]  # three drops


def make(**changes) -> ConfigDict:
    config = ilsvrc2012.get_config()
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return config


def draw(rng: np.random.Generator, scale: float) -> dict:
    return {
        "conv1": {
            "kernel": (scale * rng.normal(size=(2, 3, 3, 4))).astype(np.float32),
            "bias": (scale * rng.normal(size=(2, 4))).astype(np.float32),
        },
        "norm1": {"scale": (scale * rng.normal(size=(2, 4))).astype(np.float32)},
    }


def trajectory(form: str) -> tuple[dict, dict]:
    """Return what the program makes of 200 updates: parameters and optimizer state."""
    tx = optimizer.make_optimizer(make(optimizer__decay_form=form).optimizer)
    params = jax.tree.map(jnp.asarray, draw(np.random.default_rng(0), 0.3))
    state = tx.init(params)

    @jax.jit
    def update(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    rng = np.random.default_rng(1)
    for rate in RATES:
        params, state = update(params, optimizer.with_learning_rate(state, rate), draw(rng, 0.3))
    return params, state


def reference(rule) -> dict:
    """Return the same 200 updates in float64; rule(w, v, g, lr, decay) -> (w, v)."""
    params = jax.tree.map(lambda x: x.astype(np.float64), draw(np.random.default_rng(0), 0.3))
    velocity = jax.tree.map(np.zeros_like, params)
    rng = np.random.default_rng(1)
    for rate in RATES:
        grads = draw(rng, 0.3)
        for layer, names in params.items():
            for name, w in names.items():
                g = grads[layer][name].astype(np.float64)
                decay = DECAY if name == "kernel" else 0.0
                names[name], velocity[layer][name] = rule(w, velocity[layer][name], g, rate, decay)
    return params


def in_velocity(w, v, g, lr, decay):  # paper 5
    v = MOMENTUM * v - decay * lr * w - lr * g
    return w + v, v


def decoupled(w, v, g, lr, decay):  # SGDW
    v = MOMENTUM * v - lr * g
    return w + v - lr * decay * w, v


def rate_outside(w, v, g, lr, decay):  # what most libraries do, and the paper does not
    v = MOMENTUM * v + g + decay * w
    return w - lr * v, v


def largest_difference(a: dict, b: dict) -> float:
    return max(
        float(np.max(np.abs(np.asarray(x, np.float64) - y)))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize(("form", "rule"), [("velocity", in_velocity), ("decoupled", decoupled)])
def test_update_over_200_steps_and_three_drops(form, rule):
    params, _ = trajectory(form)
    assert largest_difference(params, reference(rule)) < 1e-6
    others = {in_velocity, decoupled, rate_outside} - {rule}
    for other in others:  # or the bound above would say nothing
        assert largest_difference(params, reference(other)) > 2e-5


def test_velocity_is_kept_across_a_drop():
    tx = optimizer.make_optimizer(make().optimizer)
    params = {"conv1": {"bias": jnp.zeros((2, 1))}}
    updates, state = tx.update({"conv1": {"bias": jnp.ones((2, 1))}}, tx.init(params), params)
    np.testing.assert_allclose(updates["conv1"]["bias"], -0.01, rtol=1e-6)
    state = optimizer.with_learning_rate(state, 1e-9)
    updates, _ = tx.update({"conv1": {"bias": jnp.ones((2, 1))}}, state, params)
    np.testing.assert_allclose(updates["conv1"]["bias"], 0.9 * -0.01, rtol=1e-6)


@pytest.mark.parametrize("form", ["velocity", "decoupled"])
def test_only_kernels_decay(form):
    tx = optimizer.make_optimizer(make(optimizer__decay_form=form).optimizer)
    params = jax.tree.map(jnp.asarray, draw(np.random.default_rng(0), 1.0))
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    for own in (updates["conv1"]["bias"], updates["norm1"]["scale"]):
        assert not np.any(own)
    expected = -0.01 * 0.0005 * np.asarray(params["conv1"]["kernel"], np.float64)
    np.testing.assert_allclose(updates["conv1"]["kernel"], expected, rtol=1e-6)


def test_unknown_forms_and_schedules_are_refused():
    with pytest.raises(ConfigError, match="velocity or decoupled; got 'l2'"):
        optimizer.make_optimizer(make(optimizer__decay_form="l2").optimizer)
    with pytest.raises(ConfigError, match="plateau, epochs or dexp; got 'cosine'"):
        rate_at(make(schedule__kind="cosine"))


def rate_at(config, *, step=0, epoch=0, steps=100, plateau=None) -> float:
    return optimizer.learning_rate(config, step=step, epoch=epoch, steps=steps, plateau=plateau)


def rates_after(errors: list[float], **schedule) -> list[float]:
    """Return the rate after each validation error."""
    config = make(**{f"schedule__{name}": value for name, value in schedule.items()})
    plateau = optimizer.make_plateau(config.schedule)
    after = jax.jit(lambda state, error: optimizer.after_validation(plateau, state, error))
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
