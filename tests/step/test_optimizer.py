"""The paper's update and its other forms, with rates by layer and kind, against float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.step import optimizer
from configs import ilsvrc2012

MOMENTUM, DECAY, STEPS = 0.9, 0.0005, 200
RATE = np.float32(0.01)  # the configs' first
RATES = [0.01 * 0.1 ** (step // 50) for step in range(STEPS)]  # three drops


def make(**changes) -> ConfigDict:
    config = ilsvrc2012.get_config()
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return config


def draw(rng: np.random.Generator, scale: float) -> dict:
    def normal(*shape: int) -> np.ndarray:
        return (scale * rng.normal(size=shape)).astype(np.float32)

    return {
        "conv1": {"kernel": normal(2, 3, 3, 4), "bias": normal(2, 4)},
        "norm1": {"scale": normal(2, 4)},
        "fc8": {"kernel": normal(2, 4, 3), "bias": normal(3)},
    }


LAYERS = ("conv1", "norm1", "fc8")


def equal(step: int) -> tuple[dict, dict]:
    """The rates of the text: of kernels and of all else, by layer."""
    return dict.fromkeys(LAYERS, RATES[step]), dict.fromkeys(LAYERS, RATES[step])


def of_its_own(step: int) -> tuple[dict, dict]:
    """Rates by layer and kind; conv1 and its norm stand still from step 80 to 139, then go on."""
    conv1 = 0.1 if step < 80 or step >= 140 else 0.0
    weights = dict.fromkeys(LAYERS, RATES[step] * conv1) | {"fc8": 2 * RATES[step]}
    return weights, {"conv1": 0.02 * (conv1 > 0), "norm1": 0.02 * (conv1 > 0), "fc8": 0.02}


def trajectory(rates, **options) -> tuple[dict, optimizer.OptimizerState]:
    """Return what the program makes of 200 updates: parameters and optimizer state."""
    tx = optimizer.make_optimizer(options_of(**options))
    params = jax.tree.map(jnp.asarray, draw(np.random.default_rng(0), 0.3))
    state = tx.init(params)

    @jax.jit
    def update(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    rng = np.random.default_rng(1)
    for step in range(STEPS):
        now = jax.tree.map(jnp.float32, optimizer.LearningRates(0.0, *rates(step)))
        params, state = update(params, state._replace(rates=now), draw(rng, 0.1))
    return params, state


def options_of(**options) -> ConfigDict:
    return make(**{f"optimizer__{name}": value for name, value in options.items()}).optimizer


def reference(rule, rates, decay_biases: bool = False) -> tuple[dict, dict]:
    """Return parameters and velocity after the same 200 updates in float64.

    rule(w, v, g, lr, decay) -> (w, v); a rate of 0 moves nothing.
    """
    params = jax.tree.map(lambda x: x.astype(np.float64), draw(np.random.default_rng(0), 0.3))
    velocity = jax.tree.map(np.zeros_like, params)
    rng = np.random.default_rng(1)
    for step in range(STEPS):
        grads, (weights, biases) = draw(rng, 0.1), rates(step)
        for layer, names in params.items():
            for name, w in names.items():
                kernel = name == "kernel"
                lr = weights[layer] if kernel else biases[layer]
                if lr > 0:
                    g, v = grads[layer][name].astype(np.float64), velocity[layer][name]
                    decay = DECAY if kernel or decay_biases else 0.0
                    names[name], velocity[layer][name] = rule(w, v, g, lr, decay)
    return params, velocity


def in_velocity(w, v, g, lr, decay):  # paper 5
    v = MOMENTUM * v - decay * lr * w - lr * g
    return w + v, v


def decoupled(w, v, g, lr, decay):  # SGDW
    v = MOMENTUM * v - lr * g
    return w + v - lr * decay * w, v


def rate_outside(w, v, g, lr, decay):  # torch.optim.SGD(lr, momentum, weight_decay)
    g = g + decay * w
    v = MOMENTUM * v + g
    return w - lr * v, v


def decoupled_outside(w, v, g, lr, decay):
    v = MOMENTUM * v + g
    return w - lr * v - lr * decay * w, v


def largest_difference(a: dict, b: dict) -> float:
    return max(
        float(np.max(np.abs(np.asarray(x, np.float64) - y)))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


FORMS = {
    ("velocity", "inside"): in_velocity,
    ("decoupled", "inside"): decoupled,
    ("velocity", "outside"): rate_outside,
    ("decoupled", "outside"): decoupled_outside,
}


@pytest.mark.parametrize("rates", [equal, of_its_own])
@pytest.mark.parametrize("forms", FORMS)
def test_update_over_200_steps_and_three_drops(forms, rates):
    decay_form, rate_form = forms
    params, state = trajectory(rates, decay_form=decay_form, rate_form=rate_form)
    expected, velocity = reference(FORMS[forms], rates)
    assert largest_difference(params, expected) < 1e-6
    assert largest_difference(state.velocity, velocity) < 1e-6
    for other in FORMS.values():  # or the bounds above would say nothing
        if other is not FORMS[forms]:
            assert largest_difference(params, reference(other, rates)[0]) > 5e-6
    if rates is of_its_own:
        assert largest_difference(params, reference(FORMS[forms], equal)[0]) > 1e-2


@pytest.mark.parametrize("forms", FORMS)
def test_biases_decay_where_that_is_asked(forms):
    decay_form, rate_form = forms
    options = {"decay_form": decay_form, "rate_form": rate_form, "decay_biases": True}
    params, _ = trajectory(of_its_own, **options)
    expected, _ = reference(FORMS[forms], of_its_own, decay_biases=True)
    assert largest_difference(params, expected) < 1e-6
    without, _ = reference(FORMS[forms], of_its_own)
    assert abs(expected["norm1"]["scale"] - without["norm1"]["scale"]).max() > 1e-4


@pytest.mark.parametrize("rate_form", ["inside", "outside"])
def test_what_is_frozen_keeps_every_bit_of_parameter_and_velocity(rate_form):
    tx = optimizer.make_optimizer(options_of(rate_form=rate_form))
    params = jax.tree.map(jnp.asarray, draw(np.random.default_rng(0), 1.0))
    _, moving = tx.update(params, tx.init(params), params)  # some velocity
    weights = {"conv1": 0.0, "norm1": 0.0, "fc8": 0.01}
    biases = {"conv1": 0.02, "norm1": 0.0, "fc8": 0.0}
    now = jax.tree.map(jnp.float32, optimizer.LearningRates(0.01, weights, biases))
    learn = {("fc8", "kernel"), ("conv1", "bias")}
    grads = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), params)  # never looked at
    for layer, name in learn:
        grads[layer][name] = jnp.ones_like(params[layer][name])
    updates, state = tx.update(grads, moving._replace(rates=now), params)
    for layer, names in params.items():
        for name in names:
            moves = (layer, name) in learn
            before, after = moving.velocity[layer][name], state.velocity[layer][name]
            assert bool(np.any(updates[layer][name])) == moves
            assert (np.asarray(before).tobytes() != np.asarray(after).tobytes()) == moves


def test_velocity_is_kept_across_a_drop():
    tx = optimizer.make_optimizer(options_of())
    params = {"conv1": {"bias": jnp.zeros((2, 1))}}
    updates, state = tx.update({"conv1": {"bias": jnp.ones((2, 1))}}, tx.init(params), params)
    np.testing.assert_allclose(updates["conv1"]["bias"], -0.01, rtol=1e-6)
    tiny_rate = {"conv1": jnp.float32(1e-9)}
    rates = optimizer.LearningRates(jnp.float32(0), tiny_rate, tiny_rate)
    state = state._replace(rates=rates)
    updates, _ = tx.update({"conv1": {"bias": jnp.ones((2, 1))}}, state, params)
    np.testing.assert_allclose(updates["conv1"]["bias"], 0.9 * -0.01, rtol=1e-6)


@pytest.mark.parametrize("form", ["velocity", "decoupled"])
def test_only_kernels_decay(form):
    tx = optimizer.make_optimizer(options_of(decay_form=form))
    params = jax.tree.map(jnp.asarray, draw(np.random.default_rng(0), 1.0))
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    for own in (updates["conv1"]["bias"], updates["norm1"]["scale"]):
        assert not np.any(own)
    expected = -0.01 * 0.0005 * np.asarray(params["conv1"]["kernel"], np.float64)
    np.testing.assert_allclose(updates["conv1"]["kernel"], expected, rtol=1e-6)


def test_the_first_rates_are_the_configs():
    params = draw(np.random.default_rng(0), 1.0)
    plain = optimizer.make_optimizer(options_of()).init(params).rates
    assert plain == optimizer.LearningRates(
        RATE, dict.fromkeys(LAYERS, RATE), dict.fromkeys(LAYERS, RATE)
    )
    own = optimizer.make_optimizer(options_of(bias_learning_rate=0.5)).init(params).rates
    assert own == optimizer.LearningRates(
        RATE, dict.fromkeys(LAYERS, RATE), dict.fromkeys(LAYERS, 0.5)
    )


def test_unknown_forms_are_refused():
    with pytest.raises(ConfigError, match="decay_form is one of velocity, decoupled; got 'l2'"):
        optimizer.make_optimizer(options_of(decay_form="l2"))
    with pytest.raises(ConfigError, match="rate_form is one of inside, outside; got 'nesterov'"):
        optimizer.make_optimizer(options_of(rate_form="nesterov"))


def test_a_layer_may_have_a_weight_decay_of_its_own():
    rows = (("fc8", 0.5), ("conv1", 0.0))
    for form, inside in (("velocity", "inside"), ("velocity", "outside"), ("decoupled", "inside")):
        tx = optimizer.make_optimizer(
            options_of(layer_weight_decay=rows, decay_form=form, rate_form=inside)
        )
        params = jax.tree.map(jnp.asarray, draw(np.random.default_rng(0), 0.3))
        state = tx.init(params)
        updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
        lr = float(state.rates.base)
        fc8 = params["fc8"]
        np.testing.assert_allclose(updates["fc8"]["kernel"], -lr * 0.5 * fc8["kernel"], rtol=1e-6)
        assert not np.asarray(updates["fc8"]["bias"]).any()  # biases never decay
        assert not np.asarray(updates["conv1"]["kernel"]).any()
