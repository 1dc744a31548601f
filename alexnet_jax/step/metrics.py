"""Masked sums of loss, top-1 and top-5 errors: every image counts once, padding never."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Sums = dict[str, Array]


def zeros() -> Sums:
    """Return sums over no image."""
    return {name: jnp.zeros((), jnp.float32) for name in ("images", "loss", "top1", "top5")}


def sums(log_probs: Array, labels: Array, mask: Array) -> Sums:
    """Sum the loss and the errors of a batch.

    A class of the same probability counts as better where its number is smaller, as a stable
    sort has it: a net that answers the same for all classes is right once in `classes`, not
    always.

    Args:
      log_probs: logarithms of probabilities, (B, classes) float32.
      labels: (B,) int32.
      mask: 1 for an image, 0 for padding, (B,) float32.

    Returns:
      images: sum of the mask; loss: sum of -log p(label), nats; top1, top5: wrong answers.
    """
    own = jnp.take_along_axis(log_probs, labels[:, None], axis=1)  # (B, 1)
    earlier = jnp.arange(log_probs.shape[1])[None, :] < labels[:, None]
    better = jnp.logical_or(log_probs > own, jnp.logical_and(log_probs == own, earlier))
    rank = jnp.sum(better, axis=1)
    # Not a number compares as not better: such an answer is wrong.
    bad = jnp.isnan(own[:, 0])
    return {
        "images": jnp.sum(mask),
        "loss": jnp.sum(jnp.where(mask > 0, -own[:, 0], jnp.zeros_like(mask))),
        "top1": jnp.sum(mask * jnp.logical_or(rank >= 1, bad).astype(jnp.float32)),
        "top5": jnp.sum(mask * jnp.logical_or(rank >= 5, bad).astype(jnp.float32)),
    }


def add(a: Sums, b: Sums) -> Sums:
    """Return the sums over both."""
    return jax.tree.map(jnp.add, a, b)


def means(total: Mapping[str, Any]) -> dict[str, float]:
    """Return {"loss", "top1_error", "top5_error"} per image, as fractions."""
    images = float(total["images"])
    return {
        "loss": float(total["loss"]) / images,
        "top1_error": float(total["top1"]) / images,
        "top5_error": float(total["top5"]) / images,
    }
