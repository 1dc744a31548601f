"""Sums of loss, top-1 and top-5 errors, with a mask: every image counts once, padding never."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

Sums = dict[str, Array]


def zeros() -> Sums:
    """Return the sums of no image."""
    return {name: jnp.zeros((), jnp.float32) for name in ("images", "loss", "top1", "top5")}


def sums(log_probs: Array, labels: Array, mask: Array) -> Sums:
    """Sum the loss and the errors of a batch.

    Of classes with equal probabilities the one with the smaller index counts as better, as in a
    stable sort: a net that gives all classes the same probability is right once in `classes`.

    Args:
      log_probs: logarithms of probabilities, (B, classes) float32.
      labels: (B,) int32.
      mask: 1 for an image, 0 for padding, (B,) float32.

    Returns:
      images: the sum of the mask; loss: the sum of -log p(label), nats; top1, top5: the errors.
    """
    right = jnp.take_along_axis(log_probs, labels[:, None], axis=1)  # (B, 1)
    earlier = jnp.arange(log_probs.shape[1])[None, :] < labels[:, None]
    better = jnp.logical_or(log_probs > right, jnp.logical_and(log_probs == right, earlier))
    rank = jnp.sum(better, axis=1)
    # Every comparison with NaN is false, so the rank alone would call such an answer right.
    bad = jnp.isnan(right[:, 0])
    return {
        "images": jnp.sum(mask),
        "loss": jnp.sum(jnp.where(mask > 0, -right[:, 0], jnp.zeros_like(mask))),
        "top1": jnp.sum(mask * jnp.logical_or(rank >= 1, bad).astype(jnp.float32)),
        "top5": jnp.sum(mask * jnp.logical_or(rank >= 5, bad).astype(jnp.float32)),
    }


def means(total: Mapping[str, Any]) -> dict[str, float]:
    """Return {"loss", "top1_error", "top5_error"} per image, as fractions."""
    images = float(total["images"])
    return {
        "loss": float(total["loss"]) / images,
        "top1_error": float(total["top1"]) / images,
        "top5_error": float(total["top5"]) / images,
    }
