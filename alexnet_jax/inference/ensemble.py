"""The mean of several nets' probabilities, its weights, and its errors."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

LEAST = float(np.finfo(np.float32).tiny)  # keeps the loss finite if a probability is rounded to 0
STEPS = 21  # of a weight in [0, 1], 0.05 apart (avg-valid.py: find_coeffs)
PASSES = 5  # over the nets, at most (avg-valid.py)


class Tally:
    """The losses and ranks of images, collected batch by batch."""

    def __init__(self) -> None:
        self._losses: list[np.ndarray] = []
        self._ranks: list[np.ndarray] = []

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Count a batch.

        Args:
          probabilities: (b, classes).
          labels: (b,) integers.
        """
        right = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
        self._losses.append(-np.log(np.maximum(right.astype(np.float64), LEAST)))
        self._ranks.append(ranks(probabilities, labels))

    def row(self) -> dict:
        """Return images, loss (nats), top1_error and top5_error with their 95 % intervals."""
        rank = np.concatenate(self._ranks)
        wrong = {name: int((rank >= k).sum()) for name, k in (("top1", 1), ("top5", 5))}
        row: dict = {"images": len(rank), "loss": float(np.concatenate(self._losses).mean())}
        for name, count in wrong.items():
            row[f"{name}_error"] = count / len(rank)
            row[f"{name}_interval"] = interval(count, len(rank))
        return row


def ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how many classes come before the right one, (b,), as `metrics.sums` counts them.

    Of classes with equal probabilities the one with the smaller index comes first. A probability
    that is not a number comes last.
    """
    right = np.take_along_axis(probabilities, labels[:, None], 1)
    earlier = np.arange(probabilities.shape[1])[None] < labels[:, None]
    rank = ((probabilities > right) | ((probabilities == right) & earlier)).sum(1)
    return np.where(np.isnan(right[:, 0]), probabilities.shape[1], rank)


def interval(wrong: int, images: int) -> list[float]:
    """Return the bootstrap's 95 % interval of an error rate, as fractions.

    A bootstrap sample of the images has a binomial number of errors, so the percentiles follow
    from that distribution without sampling.
    """
    low, high = stats.binom(images, wrong / images).ppf([0.025, 0.975]) / images
    return [float(low), float(high)]


def averaged(probabilities: np.ndarray, weights: Sequence[float] | None = None) -> np.ndarray:
    """Return the weighted mean over nets, (b, classes) float64.

    Args:
      probabilities: (nets, b, classes).
      weights: one for each net, at least one above 0; None: all equal.
    """
    return np.average(probabilities.astype(np.float64), axis=0, weights=weights)


def fitted(probabilities: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the weights with the lowest top-5 error on some images.

    The search is that of the released program (avg-valid.py: find_coeffs): all weights begin at
    0.5; one after the other is tried at 0, 0.05, ..., 1 and keeps its best value; there are at most
    five passes. Our addition: the top-1 error decides between weights of equal top-5 error.

    Args:
      probabilities: (nets, n, classes) float32.
      labels: (n,).

    Returns:
      A weight for each net; their sum is 1.
    """
    nets = len(probabilities)
    weights = np.full(nets, 0.5, np.float32)
    best = _errors(np.tensordot(weights, probabilities, 1), labels)
    for _ in range(PASSES):
        before = weights.copy()
        for net in range(nets):
            others = np.where(np.arange(nets) == net, np.float32(0), weights)
            rest = np.tensordot(others, probabilities, 1)
            for weight in np.linspace(0, 1, STEPS, dtype=np.float32):
                if not others.any() and weight == 0:
                    continue  # no net would be left
                errors = _errors(rest + weight * probabilities[net], labels)
                if errors < best:
                    best, weights[net] = errors, weight
        if (weights == before).all():
            break
    return (weights / weights.sum(dtype=np.float64)).tolist()


def _errors(mixed: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """Return the numbers of top-5 and of top-1 errors."""
    rank = ranks(mixed, labels)
    return int((rank >= 5).sum()), int((rank >= 1).sum())
