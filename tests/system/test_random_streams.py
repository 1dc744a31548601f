"""random_streams: a draw depends on the seed, the name and the counters alone."""

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.system.random_streams import per_example, stream


def bits(key) -> tuple[int, ...]:
    return tuple(int(word) for word in jax.random.key_data(key))


def test_a_stream_is_the_key_folded_with_the_names_crc_and_the_counters():
    key = jax.random.key(3)
    check = 0xCBF43926  # CRC-32's published check value, of the nine digits
    expected = jax.random.fold_in(jax.random.fold_in(key, check), 5)
    assert bits(stream(key, "123456789", 5)) == bits(expected)


def test_streams_differ_by_seed_name_counter_and_order():
    key = jax.random.key(0)
    streams = [
        stream(key, "a"),
        stream(key, "b"),
        stream(key, "a", 0),
        stream(key, "a", 1),
        stream(key, "a", 0, 1),
        stream(key, "a", 1, 0),
        stream(key, "b", 1),
        stream(jax.random.key(1), "a"),
    ]
    assert len({bits(s) for s in streams}) == len(streams)
    assert bits(stream(key, "a", 7)) == bits(stream(jax.random.key(0), "a", 7))


def test_traced_counters_give_the_same_stream():
    key = jax.random.key(0)
    compiled = jax.jit(lambda key, step: stream(key, "step", step))
    for step in (0, 1, 370_000):
        assert bits(compiled(key, jnp.int32(step))) == bits(stream(key, "step", step))


def test_an_examples_key_is_its_places():
    key = jax.random.key(0)
    places = jnp.asarray([7, 0, 127], jnp.int32)
    keys = per_example(key, places)
    assert keys.shape == (3,)
    assert [bits(k) for k in keys] == [bits(jax.random.fold_in(key, p)) for p in (7, 0, 127)]


def test_draws_of_neighbouring_examples_and_steps_are_not_alike():
    root = jax.random.key(0)
    keys = jnp.stack([per_example(stream(root, "x", s), jnp.arange(8)) for s in range(8)])
    draws = jax.vmap(jax.vmap(lambda k: jax.random.normal(k, (500,))))(keys).reshape(64, 500)
    alike = np.abs(np.corrcoef(draws) - np.eye(64))
    assert alike.max() < 6 / np.sqrt(500)
