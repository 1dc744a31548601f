"""Random numbers by name: every draw is a pure function of the run's seed and its purpose.

A stream is the root key folded with a name and with counters such as the step, the column or
the image's index in the global batch. No draw depends on the number of devices or processes. So
one and two devices draw the same masks, and a resumed run draws the same as one that was never
stopped.
"""

import zlib

import jax


def root_key(seed: int) -> jax.Array:
    """Return the typed key of a seed: Threefry, whatever JAX_DEFAULT_PRNG_IMPL says."""
    return jax.random.key(seed, impl="threefry2x32")


def stream(key: jax.Array, name: str, *counters: jax.Array | int) -> jax.Array:
    """Return the key of stream `name`.

    Args:
      key: a typed key, shape ().
      name: what the draws are for, such as "dropout6".
      counters: integers, shape (), folded in one after the other.
    """
    key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    for counter in counters:
        key = jax.random.fold_in(key, counter)
    return key


def per_example(key: jax.Array, examples: jax.Array) -> jax.Array:
    """Return a typed key for each example, (B,): `examples` are indices in the global batch."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, examples)
