"""Dropout (paper 4.2)."""

import functools

import jax
import jax.numpy as jnp

from alexnet_jax.net import architecture
from alexnet_jax.net.layers import Call, Columns, Operation
from alexnet_jax.system.random_streams import per_example, stream


class Dropout(Operation):
    """Dropout (paper 4.2). `name` names its random stream."""

    def __init__(self, name: str, dropout: architecture.Dropout):
        self.name, self.rate, self.inverted = name, dropout.rate, dropout.inverted

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Drop units in training. Each image and column has a mask that depends on the key only."""
        keep = 1 - self.rate
        if not self.rate or (self.inverted and not call.train):
            return xs
        if not call.train:  # the paper halves at test
            return [x * keep for x in xs]
        if call.dropout_key is None:
            raise ValueError("training with dropout needs dropout_key")
        masked = []
        for column, x in zip(call.columns, xs, strict=True):
            keys = per_example(stream(call.dropout_key, self.name, column), call.examples)
            bernoulli = functools.partial(jax.random.bernoulli, p=keep, shape=x.shape[1:])
            masked.append(jnp.where(jax.vmap(bernoulli)(keys), x, jnp.zeros_like(x)))
        return [x / keep for x in masked] if self.inverted else masked
