"""Nets beside each other and together, as the paper's table 2 has them."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.ensemble import Tally, averaged, fitted
from alexnet_jax.inference.predictions import Predictions

TOGETHER, EQUAL, FIT = "together", "equal", "fit"
SLICE = 1024  # images looked at in one go
Weights = str | list[float]  # EQUAL, FIT, or one a net
Answers = Iterator[tuple[np.ndarray, dict]]  # probabilities (nets, b, classes), a batch's labels


def weights_of(text: str) -> Weights:
    """Return what --weights says: EQUAL, FIT, or the numbers, scaled to a sum of 1.

    Raises:
      ConfigError: it is none of these.
    """
    if text in (EQUAL, FIT):
        return text
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not (any(numbers) and all(0 <= number < math.inf for number in numbers)):
        raise ConfigError(f"--weights is equal, fit, or numbers from 0 up; got {text!r}")
    return [number / sum(numbers) for number in numbers]


def compare(found: Predictions, weights: Weights) -> list[dict]:
    """Return a row for each net and one for all together.

    Args:
      found: what they answered.
      weights: EQUAL, a weight for each net, or FIT: found on every second image; all rows are then
        of the other images, and one is of equal weights.
    """
    heads = [
        {"net": net, "split": found.split, "views": views, "resize": resize}
        for net, views, resize in zip(found.nets, found.views, found.resize, strict=True)
    ]
    if weights != FIT:
        return compared(heads, _slices(found.probabilities, found.labels), weights)
    check_fit(len(heads))
    if len(found.labels) < 2:
        raise ConfigError(f"--weights=fit needs two images at least; got {len(found.labels)}")
    best = fitted(found.probabilities[:, ::2], found.labels[::2])
    others = _slices(found.probabilities[:, 1::2], found.labels[1::2])
    return compared(heads, others, best, {f"{TOGETHER}, equal weights": None})


def check_fit(nets: int) -> None:
    """Make sure that there is something to fit.

    Raises:
      ConfigError: there is one net.
    """
    if nets < 2:
        raise ConfigError(f"--weights=fit needs two nets at least; got {nets}")


def _slices(probabilities: np.ndarray, labels: np.ndarray) -> Answers:
    for start in range(0, len(labels), SLICE):
        part = slice(start, start + SLICE)
        yield probabilities[:, part], {"label": labels[part]}


def compared(
    heads: Sequence[dict],
    answers: Answers,
    weights: Weights,
    also: Mapping[str, list[float] | None] | None = None,
) -> list[dict]:
    """Return a row for each net, and, of several, one for each mean of them.

    Args:
      heads: the beginning of each net's row: net, split, views, resize.
      answers: what the nets answered, batch by batch.
      weights: EQUAL, or one for each net.
      also: more means of the nets: name and weights (None: all the same).
    """
    given = None if isinstance(weights, str) else weights
    count = len(heads)
    if given is not None and len(given) != count:
        raise ConfigError(f"--weights has {len(given)} numbers for {count} nets")
    mixes = {**(also or {}), TOGETHER: given} if count > 1 else {}
    tallies = [Tally() for _ in (*heads, *mixes)]
    for probabilities, batch in answers:
        mixed = [averaged(probabilities, mix) for mix in mixes.values()]
        for tally, answer in zip(tallies, (*probabilities, *mixed), strict=True):
            tally.add(answer, batch["label"])
    shared = {
        key: value
        for key, value in heads[0].items()
        if key != "net" and all(head[key] == value for head in heads)
    }
    together = [
        {"net": name, **shared, "weights": mix or [1 / count] * count}
        for name, mix in mixes.items()
    ]
    return [
        {**head, **tally.row()} for head, tally in zip((*heads, *together), tallies, strict=True)
    ]


def table(rows: Sequence[dict]) -> str:
    """Return rows as the paper's table 2 has them, errors in percent with their 95 % interval."""
    lines: list[tuple[str, ...]]
    lines = [("net", "views", "resize", "images", "top-1 error, %", "top-5 error, %", "loss")]
    for row in rows:
        errors = (
            f"{100 * row[name + '_error']:.2f} [{low:.2f}, {high:.2f}]"
            for name in ("top1", "top5")
            for low, high in [[100 * bound for bound in row[name + "_interval"]]]
        )
        weights = " ".join(f"{weight:.2f}" for weight in row.get("weights", ()))
        name = f"{row['net']} ({weights})" if weights else row["net"]
        how = (str(row.get("views", "")), row.get("resize", ""))
        lines.append((name, *how, str(row["images"]), *errors, f"{row['loss']:.4f}"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
